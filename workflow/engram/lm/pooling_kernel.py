"""A layer's attention, pooled over heads by a kernel for GPUs: no weights of a single head are ever
in memory.

Two passes over tiles of up to 64 queries and as many keys. The first goes through the keys of every
head and query, as FlashAttention does (Dao et al. 2022, arXiv 2205.14135): it leaves the heads'
outputs and, for each query, the largest score and the sum of exponentials. In the second every
program has one tile of the pooled maps. It computes the tile's scores of one head after another
once more, makes weights of them with those two numbers, and keeps their sum and the largest in
registers. Scores, weights and sums are float32 in every precision of the model. Tiles that the mask
hides are not computed.

Importing this needs triton. On processors its interpreter runs the kernels, slowly, where
TRITON_INTERPRET is 1 before the import.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import torch
import triton
import triton.language as tl

SMALLEST, LARGEST = 16, 64
"""Fewest and most queries, and keys, of a tile."""
SIDE_BYTES, TILE_BYTES = 2**7, 2**14
"""Most bytes of a tile's side, that is 64 queries in half precision, and of its queries or its
keys, on a GPU: a program then needs no more registers and shared memory than there are for it."""
LOWEST = torch.finfo(torch.float32).min
_lock = Lock()
"""Of a launch: triton's interpreter runs one kernel at a time."""


def pool_heads(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    cap: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return softmax(scale · query · keyᵀ + mask), pooled over heads, and its products with the
    values.

    Args:
        query: (b, H, T, d).
        key: (b, G, T, d); H / G heads of queries share one of keys.
        value: (b, G, T, e).
        mask: added to the scores, (b or 1, 1, T, T); what it hides has the lowest finite value of
            its precision, or minus infinity.
        scale: of the scores.
        cap: c, where scores s are c · tanh(s / c) before the mask is added.

    Returns:
        the heads' outputs (b, T, H, e) in the precision of `query`; mean and maximum of the weights
        over heads, (b, T, T) float32.
    """
    batch, heads, window, width = query.shape
    groups, value_width = key.shape[1], value.shape[3]
    dtype, interpreted = query.dtype, query.device.type == "cpu"
    if interpreted and dtype == torch.bfloat16:
        # The interpreter multiplies the bit patterns of bfloat16.
        query, key, value = query.float(), key.float(), value.float()
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    masks = mask[:, 0].contiguous()  # (b or 1, T, T)
    columns, value_columns = (
        max(SMALLEST, triton.next_power_of_2(size)) for size in (width, value_width)
    )
    most = min(SIDE_BYTES, TILE_BYTES // max(columns, value_columns))
    # The interpreter takes about as long for a small tile as for a large one.
    tile = LARGEST if interpreted else max(SMALLEST, most // query.element_size())
    visible = visible_tiles(masks, tile)
    tiles = visible.shape[1]
    outputs = query.new_empty((batch, window, heads, value_width))
    top, total = query.new_empty((2, batch, heads, window), dtype=torch.float32)
    mean, highest = query.new_empty((2, batch, window, window), dtype=torch.float32)
    shared: dict[str, Any] = {
        "window": window,
        "scale": scale,
        "cap": cap or 1.0,
        "HEADS": heads,
        "SHARING": heads // groups,
        "TILES": tiles,
        "TILE": tile,
        "WIDTH": width,
        "COLUMNS": columns,
        "CAPPED": cap is not None,
        "OWN_MASKS": len(masks) > 1,
        "num_stages": 2,
    }
    with _lock:
        _attend[(batch * heads, tiles)](
            query,
            key,
            value,
            masks,
            visible,
            outputs,
            top,
            total,
            **shared,
            LOWEST=LOWEST,
            VALUE_WIDTH=value_width,
            VALUE_COLUMNS=value_columns,
            num_warps=4,
        )
        _pool[(batch, tiles, tiles)](
            query, key, masks, visible, top, total, mean, highest, **shared, num_warps=8
        )
    return outputs.to(dtype), mean, highest


def visible_tiles(masks: torch.Tensor, tile: int) -> torch.Tensor:
    """Return which tiles have weights that are not 0, as far as the mask decides it.

    A softmax over nothing but hidden keys is uniform: all tiles of such a query count as visible.

    Args:
        masks: (m, T, T).
        tile: queries, and keys, of a tile; n of them cover the window.

    Returns:
        (m, n, n) int8.
    """
    seen = masks > torch.finfo(masks.dtype).min / 2
    seen |= ~seen.any(2, keepdim=True)
    missing = -masks.shape[1] % tile
    seen = torch.nn.functional.pad(seen, (0, missing, 0, missing))
    return seen.unflatten(2, (-1, tile)).any(3).unflatten(1, (-1, tile)).any(2).to(torch.int8)


@triton.jit
def _rows_of(start, rows, window, WIDTH: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows of a matrix (window, WIDTH) at `start`; 0 outside it."""
    columns = tl.arange(0, COLUMNS)
    inside = (rows[:, None] < window) & (columns[None, :] < WIDTH)
    return tl.load(start + rows[:, None] * WIDTH + columns[None, :], mask=inside, other=0)


@triton.jit
def _mask_of(masks, batch, rows, keys, window, OWN_MASKS: tl.constexpr):
    """The mask of a tile, float32; minus infinity for keys behind the window."""
    if OWN_MASKS:
        masks += batch * window * window
    inside = (rows[:, None] < window) & (keys[None, :] < window)
    place = rows[:, None] * window + keys[None, :]
    added = tl.load(masks + place, mask=inside, other=0).to(tl.float32)
    return tl.where(keys[None, :] < window, added, float("-inf"))


@triton.jit
def _is_visible(visible, batch, row, column, TILES: tl.constexpr, OWN_MASKS: tl.constexpr):
    """Whether a tile has weights that are not 0."""
    if OWN_MASKS:
        visible += batch * TILES * TILES
    return tl.load(visible + row * TILES + column) != 0


@triton.jit
def _scores(queries, keys, added, scale, cap, CAPPED: tl.constexpr):
    """Scores of a tile (queries, keys), float32."""
    # "ieee": the default rounds float32 factors to ten bits.
    scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
    if CAPPED:
        scores = cap * (2 * tl.sigmoid(2 * scores / cap) - 1)  # cap · tanh(scores / cap)
    return scores + added


@triton.jit
def _attend(
    query,
    key,
    value,
    masks,
    visible,
    outputs,
    top,
    total,
    window,
    scale,
    cap,
    HEADS: tl.constexpr,
    SHARING: tl.constexpr,
    TILES: tl.constexpr,
    TILE: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    CAPPED: tl.constexpr,
    OWN_MASKS: tl.constexpr,
    LOWEST: tl.constexpr,
    VALUE_WIDTH: tl.constexpr,
    VALUE_COLUMNS: tl.constexpr,
):
    """One head and tile of queries: outputs, and each query's largest score and sum of
    exponentials.
    """
    head = tl.program_id(0).to(tl.int64)  # of all sequences: offsets may need 64 bits
    batch, group = head // HEADS, head // SHARING
    row = tl.program_id(1)
    rows = row * TILE + tl.arange(0, TILE)
    queries = _rows_of(query + head * window * WIDTH, rows, window, WIDTH, COLUMNS)
    largest = tl.full((TILE,), LOWEST, tl.float32)
    summed = tl.zeros((TILE,), tl.float32)
    weighted = tl.zeros((TILE, VALUE_COLUMNS), tl.float32)
    for column in range(TILES):
        if _is_visible(visible, batch, row, column, TILES, OWN_MASKS):
            places = column * TILE + tl.arange(0, TILE)
            keys = _rows_of(key + group * window * WIDTH, places, window, WIDTH, COLUMNS)
            added = _mask_of(masks, batch, rows, places, window, OWN_MASKS)
            scores = _scores(queries, keys, added, scale, cap, CAPPED)
            larger = tl.maximum(largest, tl.max(scores, 1))
            exponentials = tl.exp(scores - larger[:, None])
            before = tl.exp(largest - larger)
            values = _rows_of(
                value + group * window * VALUE_WIDTH, places, window, VALUE_WIDTH, VALUE_COLUMNS
            )
            products = tl.dot(exponentials.to(values.dtype), values, input_precision="ieee")
            summed = summed * before + tl.sum(exponentials, 1)
            weighted = weighted * before[:, None] + products
            largest = larger
    tl.store(top + head * window + rows, largest, mask=rows < window)
    tl.store(total + head * window + rows, summed, mask=rows < window)
    columns = tl.arange(0, VALUE_COLUMNS)
    place = ((batch * window + rows[:, None]) * HEADS + head % HEADS) * VALUE_WIDTH
    tl.store(
        outputs + place + columns[None, :],
        (weighted / summed[:, None]).to(outputs.dtype.element_ty),
        mask=(rows[:, None] < window) & (columns[None, :] < VALUE_WIDTH),
    )


@triton.jit
def _pool(
    query,
    key,
    masks,
    visible,
    top,
    total,
    mean,
    highest,
    window,
    scale,
    cap,
    HEADS: tl.constexpr,
    SHARING: tl.constexpr,
    TILES: tl.constexpr,
    TILE: tl.constexpr,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    CAPPED: tl.constexpr,
    OWN_MASKS: tl.constexpr,
):
    """One tile of the maps of one sequence."""
    batch = tl.program_id(0).to(tl.int64)
    row, column = tl.program_id(1), tl.program_id(2)
    rows, places = row * TILE + tl.arange(0, TILE), column * TILE + tl.arange(0, TILE)
    summed = tl.zeros((TILE, TILE), tl.float32)
    largest = tl.zeros((TILE, TILE), tl.float32)
    if _is_visible(visible, batch, row, column, TILES, OWN_MASKS):
        added = _mask_of(masks, batch, rows, places, window, OWN_MASKS)
        for one in range(HEADS):
            head = batch * HEADS + one
            queries = _rows_of(query + head * window * WIDTH, rows, window, WIDTH, COLUMNS)
            keys = _rows_of(
                key + (head // SHARING) * window * WIDTH, places, window, WIDTH, COLUMNS
            )
            scores = _scores(queries, keys, added, scale, cap, CAPPED)
            # Outside the window nothing is stored.
            highest_score = tl.load(top + head * window + rows, mask=rows < window, other=0)
            sums = tl.load(total + head * window + rows, mask=rows < window, other=1)
            weights = tl.exp(scores - highest_score[:, None]) / sums[:, None]
            summed += weights
            largest = tl.maximum(largest, weights)
    inside = (rows[:, None] < window) & (places[None, :] < window)
    place = (batch * window + rows[:, None]) * window + places[None, :]
    tl.store(mean + place, summed / HEADS, mask=inside)
    tl.store(highest + place, largest, mask=inside)
