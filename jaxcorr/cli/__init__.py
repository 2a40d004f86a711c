"""The command line, `jaxcorr COMMAND …`."""
