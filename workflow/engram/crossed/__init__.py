"""Crossed exposures: two models of one base, each drilled on one half of the same windows.

`scorer` asks which of two maps of one text is the exposed model's, `null` what it would find if the
arms had been drawn differently, `intervals` how sure that is, `effects` what the exposures did.
"""
