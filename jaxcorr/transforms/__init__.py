"""The four transforms of each architecture.

Internal: import the settings of transforms, such as `Minnen`, from `jaxcorr`.
"""
