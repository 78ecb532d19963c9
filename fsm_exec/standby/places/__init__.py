"""Places that two hosts share: a directory of a share, a bucket, or the memory of a simulation."""
