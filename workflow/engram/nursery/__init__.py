"""The nursery: a small language model whose memorization is real and whose causes are known.

`base` trains a language model that can copy from context, `drilling` goes on training it on
held-out windows that are shown a scheduled number of times. The base is then the twin that never
saw them.
"""
