"""How a model reproduces a text inside: noise on its residual stream, what its layers would say,
and which heads and which tokens of the context it needs.

The measures of *A Comparative Analysis of LLM Memorization at Statistical and Internal Levels*
(Chen, Han and Miyao, arXiv 2603.21658), which published no code, and what we add to them:
intervals, classes, further thresholds and null distributions. Then measures of other papers, which
their modules name. (P) marks what is a paper's, (U) what is ours.
"""
