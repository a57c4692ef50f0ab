# The end of a Packer template: the raw disk of the qemu builder becomes a fixed VHD that was checked, or the build fails.
# (`format = "raw"` in the source; a disk of the hyperv builder is a VHDX, which `prepare` takes as well.)
variable "disk" {
  type    = string
  default = "output/disk.raw"
}

build {
  sources = ["source.qemu.image"]

  post-processor "shell-local" {
    environment_vars = ["DISK=${var.disk}"]
    inline = [
      "vhdprep prepare \"$DISK\" \"$DISK.vhd\" --quiet",
      "vhdprep check \"$DISK.vhd\" --quiet --report json=\"$DISK.json\"",
    ]
  }
}
