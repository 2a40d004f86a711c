"""The processes of a run: how they meet, agree, fail together and share a directory.

Nothing in this package needs a device, so it works before any program is compiled.
"""
