"""What was judged, as a signed statement that can be proven later: in-toto over digests of the image, in a DSSE envelope."""
