"""What the subcommands of `jaxcorr` do, by what they are for."""
