"""The front door: load a model, label texts, look at attention, localize, knock out, open a study.

`import engram as eg` reaches its functions as `eg.load`, `eg.label`, `eg.attention`, `eg.localize`,
`eg.knock_out` and `eg.open`. Everything else in the package may change between releases."""
