"""The command line, `jaxcorr COMMAND …`.

Internal: run the commands, whose names and flags are stable.
"""
