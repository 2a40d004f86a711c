"""The processes of a run: how they meet, agree, fail together and share a directory.

Internal: import `DistributedConfig` from `jaxcorr`. Nothing here needs a device, so it
works before any program is compiled.
"""
