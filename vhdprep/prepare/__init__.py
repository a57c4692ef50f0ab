"""From a verdict to a better image: plan, copy, edit the copy, look again. The only package that writes images."""
