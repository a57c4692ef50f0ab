"""LZX chunks, packed by wimlib (a program of other people) from contents that a line of Python makes again."""

from __future__ import annotations

import base64
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vhdprep.disk.native.ntfs import lzx
from vhdprep.errors import Unreadable

# Verbatim block, no code for lengths, calls up to the last ten bytes and within them.
CALLS = b"".join(b"\xe8" + (number * 37).to_bytes(4, "little") + b"\x90" * (number % 3) for number in range(120))
CALLS_PACKED = (
    "Eg%2_000vJ08l^x`&a(`+1rvNDoG(pk|ZQaaFUWFBuPn<oFpVEWRgjek|dI(BuPn<lO!a8Ns>u=k|daL000310RRD*OORl-J#+_)+3x@d00000000O8|9|rTa?CR`jQMxX8R;*at"
    "m&0{M5}0;+AA>}dak?Gn^Y`noEoq}6?<gMY@AyxQ5<`++f|)(EN+~ev|*KdgzIph+$?b%d$#-4pp-3goE*4;7JQ@&bfH}>ksN%w8&;yUEq0upyrGqRiHGn;yjx>AvV8Bcky5zmb9"
    "w;>S@X#U_)5N9qdEG7i!7$}E`FS!#Nk$b0!qMBa2I$EKI13LDg}!mC&+R@bsvP3FqQ0uq9ac^%EC&+VyGGV9Ma{-qGenqe?jRGbB?m~CF}!Zg8@3I+7Cs{*h&VY)hQ+&{d)jF"
)
# Aligned block.
TEXT = "".join(f"{number} {number * number} overlay\r\n" for number in range(300)).encode()
TEXT_PACKED = (
    "R6!I(0&xHU00L70099HuH^^?eeNWlhfTlsx1O)vZ!~6gMLjy%r096kp40vw;=Pu$dEK#u8cHskGG>Jf!PS|0C7&BW{Q1So(000dD3=uK}?R~zF>HCXY{c*p4{`1q{fBEB&FZ}<-v"
    "Cp5v87E#o|1J%GW5D6(`y4JDqfb+Z@$5bqxV^2toA>s}RU(p1GWlH2z|Ch2dDCNJG2{ipeKzVp+#=;KDiO!N21~#aTf!0sCFJe==VP%B!}wFE<Ro&E$NsQay<btuER&qwKg}(wWj"
    "%?_`A13=o2uV3D)nC4?$$@W3A6pfleUu!<t)t{u)sWH{oW$6QQoqoGMl-!TJ!Q-q`93xj-ivxf*;N@^={no=_mAdLzkd5Enhz(NN;Dba+FMYJOe4DQ=Vroww3Zso}d_2D$nJyai!"
    "AR&EZ^$C6>Odrp<G_)AZ*crs;EB)AV9F9$TAs?>%o%O~z9=x<pHq_OpN!Nv7V2V*O~$0-VB$wr5`_#BF=w8Eec2%f$jS2|H6)x+H7wjxbqoX0b1F65IQ>S#NoJF>8Ngc&fg&z3+V"
    "wEd`R4*`BB+le_;-bWTwJSdLt!Q<RpvB5J+nf27^bkY0scsWM?DOY+NEN|VF@tn`ZI$#`T%W-0Gh3v>Qg>elP@6>_8y*ODa}!=zJ_Cx-W^64O8b`e-Snzh=}tjJLf1tOUtj3M(rK"
    "1P_drC9&r~OK-QH!-~K4vKdyA5>Q{(-kmz4h2G?@rL(qPgtdC>w-<Ul^-EK{t=neBZ`}((P7~vssCU!%m+CdK*dmjfCKu<Wq^Gw|b&7H8ep%tS6NEq0y*qVe4!@ohoSmMYPcj@>>"
    "FuqXqT=5=0EnTUv7DY!<9B-@!^4t7>{rtDmhf^IaBB6$`<`?Y=J~scmco8y+uTTt{QnYl4udFB1(%2tQLvCG62&=+k={OA#q|1Rk={y?8zr*<_b4(uv5pGo>xWEwECpf8v(OePdg"
    "s4Mik)?fCcTSAnKBrAS6b`$OJVP2M}<paLU8VultL*SkU~+fQrID&j!Kn66i&pd)+-8oLRPI56oPQBccn`q5R1d5uMq56U@1%CLJ%OAE`>sH*P2Zsg=6eBnnFVCXT7GdLJAz1ktt"
    "IM5F}8hnL<Kvj+x99Ddgmyohehu<YKTXrf?98hNev+5Sz=Urx3!i%$}Y?A@+7pP9Z`p@SIMkr~h?LI=!vy)#(bm=XN`-3Nf*FcM23@vG{xnzjGH4Pa#4MH=j=-A(yvUYdygh#R>|"
    "+;Kg8t3L)pf(t5@(ro=XWt&+9zx0c$*<6D=f?YZz_u|h(Ch_P59{_h#J*!Z`c^~SLliwX)k^NXU^A@~qbK!pm)VuTA7{LZ;Th6*YK2pT$6sE|F!Fls8~5Fm)CQ6b--08#"
)
# One match after another, each as far back as the last.
ZEROS = bytes(32768)
ZEROS_PACKED = "05AXm000000RjI9|Nj8s00000002S+&l&r^0OSAw000005dc02lmCzJ|2O~t|NsC0|NsC0|NsC0|NsC0|NsC0|NsC0|NsC00Kf"
PACKED = {name: base64.b85decode(text) for name, text in (("calls", CALLS_PACKED), ("text", TEXT_PACKED), ("zeros", ZEROS_PACKED))}


@pytest.mark.parametrize(("name", "content"), [("calls", CALLS), ("text", TEXT), ("zeros", ZEROS)])
def test_a_chunk_becomes_what_wimlib_packed(name, content):
    assert lzx.decompress(PACKED[name], len(content)) == content


def raw_block(data):
    """Three bits of type, one that says a size follows, sixteen of size, padding, three distances, the bytes."""
    bits = 3 << 17 | len(data)
    return struct.pack("<HHIII", bits >> 4, bits << 12 & 0xFFFF, 1, 1, 1) + data


def test_a_block_that_was_not_packed_is_copied():
    assert lzx.decompress(raw_block(b"as it is") + raw_block(b", twice"), 15) == b"as it is, twice"


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"", 10), (bytes(40), 10), (raw_block(b"short"), 10), (PACKED["text"][:200], len(TEXT)), (PACKED["text"], 100_000)],
    ids=["nothing", "block type 0", "bytes missing", "cut", "larger than a chunk"],
)
def test_what_is_no_chunk_is_unreadable(data, size):
    with pytest.raises(Unreadable):
        lzx.decompress(data, size)


@settings(max_examples=150, deadline=2000)
@given(at=st.integers(0, len(PACKED["text"]) - 1), bits=st.binary(min_size=1, max_size=4))
def test_a_wounded_chunk_gives_bytes_or_is_unreadable(at, bits):
    data = PACKED["text"][:at] + bits + PACKED["text"][at + len(bits) :]
    assert_bytes_or_unreadable(data)


@settings(max_examples=100, deadline=2000)
@given(distances=st.binary(min_size=12, max_size=12))
def test_distances_that_cannot_be_are_unreadable(distances):
    block = raw_block(b"12345678")
    assert_bytes_or_unreadable(block[:4] + distances + block[16:] + PACKED["text"])


def assert_bytes_or_unreadable(data):
    with suppress(Unreadable):
        assert len(lzx.decompress(data, len(TEXT))) == len(TEXT)
