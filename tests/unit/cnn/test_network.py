"""The CNN against PyTorch's functions, its dropout, and its inputs."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from engram.cnn.architecture import Architecture
from engram.cnn.network import AttentionCNN, Dropout, square_maps, token_identity
from engram.io.errors import EngramError
from engram.io.packing import pack, packed_length, unpack
from engram.io.spans import Spans


def make_cnn(**settings: object) -> AttentionCNN:
    cnn = AttentionCNN(
        **({"layers": 3, "classes": 4, "kernel": 3, "features": 5, "tokens": 16} | settings)
    )  # type: ignore[arg-type]
    cnn.initialize(1)
    return cnn.eval()


@pytest.mark.parametrize(("kernel", "pooling"), [(3, 2), (3, 1), (2, 3)])
def test_forward_is_the_architecture_of_the_paper(kernel: int, pooling: int) -> None:
    given = {} if pooling == 2 else {"pooling_kernel": pooling}
    cnn, x = make_cnn(kernel=kernel, **given), torch.rand(2, 3, 16, 16)
    y = functional.max_pool2d(
        functional.relu(functional.conv2d(x, cnn.conv1.weight, cnn.conv1.bias)), pooling
    )
    y = functional.max_pool2d(
        functional.relu(functional.conv2d(y, cnn.conv2.weight, cnn.conv2.bias)), pooling
    )
    y = functional.relu(functional.linear(y.flatten(1), cnn.fc1.weight, cnn.fc1.bias))
    expected = functional.linear(y, cnn.fc2.weight, cnn.fc2.bias)
    torch.testing.assert_close(cnn(x), expected)


@pytest.mark.parametrize(
    ("kernel", "features", "flat"), [(6, 10, 10 * 12 * 12), (8, 16, 16 * 10 * 10)]
)
def test_published_sizes(kernel: int, features: int, flat: int) -> None:
    cnn = AttentionCNN(layers=36, classes=3, kernel=kernel, features=features)
    assert cnn.fc1.weight.shape == (64, flat)


def test_log_scale_is_applied_to_the_input() -> None:
    raw, log, x = make_cnn(), make_cnn(input_scale="log"), torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(log(x), raw(torch.log(1 + 16 * x)))


def test_name_tells_the_pooling_where_there_are_heads() -> None:
    assert [Architecture(6, 10, pooling).name for pooling in ("mean", "none")] == [
        "k6-f10-mean",
        "k6-f10",
    ]


def test_values_of_an_architecture_name_the_pooling_that_is_not_the_papers() -> None:
    assert "pooling_kernel" not in Architecture(6, 10).values()
    for architecture in (Architecture(6, 10), Architecture(6, 10, pooling_kernel=3)):
        assert Architecture(**architecture.values()) == architecture


def test_cnn_of_an_architecture() -> None:
    architecture = Architecture(2, 5, "max", 7, 0.25, "log", 3)
    cnn = AttentionCNN.of(architecture, layers=2, classes=3, tokens=16)
    found = (
        cnn.pool.kernel_size,
        cnn.head_pooling,
        cnn.input_scale,
        cnn.fc1.out_features,
        cnn.conv1.kernel_size,
        cnn.dropout.threshold,
    )
    assert found == (3, "max", "log", 7, (2, 2), 2**14)


def test_kernel_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(EngramError, match=r"kernel 8 .* 16 × 16"):
        make_cnn(kernel=8)
    with pytest.raises(EngramError, match=r"kernel 3 and pooling_kernel 5 .* 16 × 16"):
        make_cnn(pooling_kernel=5)


@pytest.mark.parametrize("setting", [{"head_pooling": "median"}, {"input_scale": "sqrt"}])
def test_unknown_value_is_an_error(setting: dict[str, str]) -> None:
    with pytest.raises(EngramError, match="choose"):
        make_cnn(**setting)


def test_maps_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 15, 15\), expected \(n, 3, 16, 16\)"):
        make_cnn()(torch.rand(2, 3, 15, 15))


def test_initialization_depends_on_the_seed_alone() -> None:
    first, second, other = make_cnn(), make_cnn(), make_cnn()
    torch.manual_seed(99)
    second.initialize(1)
    other.initialize(2)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, rtol=0, atol=0)
        assert not torch.equal(other.state_dict()[name], value), name


def test_initialization_decides_what_dropout_drops() -> None:
    cnn, masks = make_cnn(dropout=0.5), []
    for seed in (1, 1, 2):
        cnn.initialize(seed)
        masks.append(cnn.dropout.train()(torch.ones(200)))
    torch.testing.assert_close(masks[0], masks[1], rtol=0, atol=0)
    assert not torch.equal(masks[0], masks[2])


def test_initialization_leaves_the_global_random_numbers_alone() -> None:
    cnn = make_cnn()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    cnn.initialize(1)
    torch.testing.assert_close(torch.rand(3), expected)


def test_initialization_has_the_range_of_pytorch() -> None:
    cnn = AttentionCNN(36, 3, 8, 16)
    default = {
        name: value.abs().max().item()
        for name, value in cnn.state_dict().items()
        if name.endswith("weight")
    }
    cnn.initialize(0)
    for name, largest in default.items():
        assert cnn.state_dict()[name].abs().max().item() == pytest.approx(largest, rel=0.05)


def drop(x: torch.Tensor, rate: float, seed: int = 0) -> torch.Tensor:
    dropout = Dropout(rate)
    dropout.seed(seed)
    return dropout(x)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    dropped = drop(torch.ones(200_000), rate)
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    np.testing.assert_allclose(dropped[dropped != 0], 1 / (1 - rate), rtol=1e-4)


def test_dropout_of_zero_is_the_identity() -> None:
    x = torch.rand(5, 7)
    torch.testing.assert_close(drop(x, 0.0), x, rtol=0, atol=0)


def test_dropout_is_off_in_evaluation() -> None:
    x = torch.rand(5, 7)
    torch.testing.assert_close(Dropout(0.5).eval()(x), x, rtol=0, atol=0)


def test_dropout_draws_again_and_repeats_by_seed() -> None:
    dropout, x = Dropout(0.5), torch.ones(64)
    first, second = dropout(x), dropout(x)
    dropout.seed(0)
    assert not torch.equal(first, second)
    torch.testing.assert_close(dropout(x), first, rtol=0, atol=0)


def test_dropout_keeps_the_memory_layout() -> None:
    x = torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert drop(x, 0.5).stride() == x.stride()


def test_square_maps_are_the_unpacked_maps() -> None:
    packed = torch.rand(3, 4, packed_length(9))
    torch.testing.assert_close(square_maps(packed), unpack(packed), rtol=0, atol=0)


def test_gradients_flow_through_square_maps() -> None:
    packed, weights = torch.rand(2, 3, packed_length(5), requires_grad=True), torch.rand(2, 3, 5, 5)
    (square_maps(packed) * weights).sum().backward()
    torch.testing.assert_close(packed.grad, pack(weights))


def test_square_maps_give_the_channels_of_a_pixel_side_by_side() -> None:
    assert square_maps(torch.rand(2, 4, 10)).is_contiguous(memory_format=torch.channels_last)


def test_token_identity_of_blocks_is_the_share_of_equal_pairs() -> None:
    tokens = np.random.default_rng(0).integers(0, 4, (5, 17))
    spans = Spans(1, 9, 7, 4)
    expected = spans.pool(token_identity(tokens).astype(np.float32), "mean")
    found = token_identity(tokens, spans)
    assert found.shape == (5, spans.packed)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(token_identity(tokens, Spans(1, 9, 7)), token_identity(tokens))


def test_token_identity_marks_equal_earlier_tokens() -> None:
    tokens = np.random.default_rng(0).integers(0, 4, size=(3, 7))
    expected = np.array(
        [
            [[key < query and row[key] == row[query] for key in range(7)] for query in range(7)]
            for row in tokens
        ]
    )
    np.testing.assert_array_equal(token_identity(tokens), pack(expected))
