"""Boot a throw-away copy of an image under an emulated Azure platform, and tell what it does.

    image ─▶ choices ─▶ overlay ─▶ QEMU ◀─▶ relay ◀─▶ platform (metadata, wire server, host plugin, DHCP, names, DVD)
             offline                │                     │
                                    └─── milestones ◀─────┘ ─▶ verdict, with what the post-mortem finds in the overlay

Nothing here writes the image, and no packet leaves the machine.
"""
