"""GoogLeNet with its auxiliary heads, the naive block, BN-Inception."""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models import get_graph_node_names
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnntrain.models import bn_inception, googlenet, registry
from cnntrain.models.googlenet import AuxiliaryPool
from cnntrain.models.inception_naive import naive_inception
from cnntrain.transfer.groups import coarse_groups

registry.register()


def auxiliary(**kwargs) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("googlenet", aux_logits=True, **{"num_classes": 5} | kwargs)


def on_meta(name: str, **kwargs) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(name, **kwargs)


def convolve(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A convolution with ReLU, and with batch norm if it has one."""
    x = F.conv2d(x, conv.conv.weight, conv.conv.bias, conv.conv.stride, conv.conv.kernel_size[0] // 2)
    if hasattr(conv, "bn"):
        bn = conv.bn
        x = F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=1e-5)
    return F.relu(x)


def test_inception_module_by_hand():
    block = googlenet.inception(6, 3, 4, 5, 2, 4, 3)
    x = torch.randn(2, 6, 9, 9)
    expected = [
        convolve(block.conv1, x),
        convolve(block.conv3.conv, convolve(block.conv3.reduce, x)),
        convolve(block.conv5.conv, convolve(block.conv5.reduce, x)),
        convolve(block.pool.project, F.max_pool2d(x, 3, 1, 1)),
    ]
    assert block.conv5.conv.conv.kernel_size == (5, 5)
    assert torch.allclose(block(x), torch.cat(expected, 1), atol=1e-6)


def test_googlenet_has_the_papers_maps():
    net = on_meta("googlenet")
    _, maps = net.forward_intermediates(torch.empty(1, 3, 224, 224, device="meta"))
    assert [m.shape[-1] for m in maps] == [56, 28, 28, 28, 14, 14, 14, 14, 14, 7, 7]
    assert [m.shape[1] for m in maps] == [64, 192, 256, 480, 512, 512, 512, 528, 832, 832, 1024]
    weights = {
        name: sum(p.numel() for key, p in net.get_submodule(name).named_parameters() if key.endswith("weight"))
        for name in ("inception4c", "inception5a")
    }
    assert weights == {"inception4c": 509_440, "inception5a": 1_042_432}


def test_googlenets_stem_by_hand():
    net = timm.create_model("googlenet").eval()
    images = torch.randn(1, 3, 64, 64)
    x = F.relu(F.conv2d(images, net.conv1.conv.weight, net.conv1.conv.bias, 2, 3))
    x = F.local_response_norm(F.max_pool2d(x, 3, 2, ceil_mode=True), 5, 5e-4, 0.75, 2.0)
    x = convolve(net.conv2.conv, convolve(net.conv2.reduce, x))
    x = F.max_pool2d(F.local_response_norm(x, 5, 5e-4, 0.75, 2.0), 3, 2, ceil_mode=True)
    assert torch.allclose(net.forward_intermediates(images, [1], intermediates_only=True)[0], x, atol=1e-5)


def test_auxiliary_heads_train_and_are_gone_in_eval():
    net, images = auxiliary(), torch.randn(4, 3, 64, 64)
    outputs = net(images)
    assert [output.shape for output in outputs] == [(4, 5)] * 3
    assert isinstance(net.eval()(images), torch.Tensor)
    assert net(images).shape == (4, 5)
    outputs[1].sum().backward()
    assert net.inception4a.inception.conv1.conv.weight.grad.any()
    assert net.aux[0].classifier.weight.grad.any()
    assert net.inception4b.conv1.conv.weight.grad is None
    assert net.aux[1].classifier.weight.grad is None
    plain = timm.create_model("googlenet", num_classes=5)
    assert isinstance(plain(images), torch.Tensor)
    plain.load_state_dict({key: value for key, value in net.state_dict().items() if not key.startswith("aux.")})
    assert torch.equal(plain.eval()(images), net(images))


def test_auxiliary_heads_see_4a_and_4d():
    net, images = auxiliary(drop_rate=0.0, aux_drop_rate=0.0), torch.randn(2, 3, 64, 64)
    _, (inner, later) = net.forward_intermediates(images, [4, 7])
    logits, first, second = net(images)
    assert torch.equal(first, net.aux[0](inner))
    assert torch.equal(second, net.aux[1](later))
    assert torch.equal(logits, net.eval()(images))
    net.train().set_grad_checkpointing()
    assert all(torch.equal(a, b) for a, b in zip(net(images), (logits, first, second), strict=True))


def test_auxiliary_heads_count_only_when_asked_for():
    for name, without, heads in (("googlenet", 6_998_552, 13_378_280), ("tv_googlenet", 6_624_904, 13_004_888)):
        assert sum(p.numel() for p in on_meta(name).parameters()) == without
        assert sum(p.numel() for p in on_meta(name, aux_logits=True).parameters()) == heads


def test_auxiliary_heads_follow_the_classifier():
    net, images = auxiliary(), torch.randn(2, 3, 64, 64)
    net.reset_classifier(3)
    assert [output.shape for output in net(images)] == [(2, 3)] * 3
    groups = coarse_groups(net)
    assert groups[-1].parameters == ("classifier.weight", "classifier.bias")
    holders = [{name.split(".")[0] for name in group.parameters} for group in groups]
    assert [stages for stages in holders if "aux" in stages] == [{"inception4a", "aux"}, {"inception4d", "aux"}]
    net.reset_classifier(0)
    assert not net.aux
    assert net(images).shape == (2, 1024)
    net.reset_classifier(4)
    assert [output.shape for output in net(images)] == [(2, 4)] * 3
    net.prune_intermediate_layers([5])
    assert not net.aux
    assert net(images).shape == (2, 512, 4, 4)


def test_auxiliary_pool_is_the_papers_at_224_pixels():
    pool = AuxiliaryPool()
    x = torch.randn(1, 2, 14, 14)
    assert pool(x)[0, 1, 2, 3].item() == pytest.approx(x[0, 1, 6:11, 9:14].mean().item(), abs=1e-6)
    for side in (1, 2, 4, 7, 13, 15, 16, 17, 19, 30):
        assert pool(torch.randn(1, 2, side, side)).shape == (1, 2, 4, 4)
    assert torch.equal(pool(x[..., :4, :4]), x[..., :4, :4])


@pytest.mark.no_cover
def test_auxiliary_heads_trace_and_export():
    net = auxiliary()
    with pytest.warns(UserWarning, match="eval mode are a subsequence"):
        train, evaluation = get_graph_node_names(net)
    assert "aux.1.classifier" in train
    assert "aux.1.classifier" not in evaluation
    images = torch.randn(2, 3, 64, 64)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(net.eval(), (images,), dynamic_shapes=({0: batch},))
    images = torch.randn(5, 3, 64, 64)
    assert torch.equal(program.module()(images), net(images))


def test_auxiliary_drop_rate():
    net = auxiliary()
    assert [head.drop.p for head in net.aux] == [0.7, 0.7]
    assert net.head_drop.p == 0.4


def test_naive_block_has_the_decks_figures():
    with torch.device("meta"):
        block = naive_inception(256, 128, 192, 96)
    with FlopCounterMode(display=False) as counter:
        assert block(torch.empty(1, 256, 28, 28, device="meta")).shape == (1, 672, 28, 28)
    assert counter.get_total_flops() / 2 == pytest.approx(854.2e6, rel=1e-4)
    assert sum(parameter.numel() for parameter in block.parameters()) == 1_089_952


def test_naive_block_by_hand():
    block = naive_inception(4, 3, 2, 5)
    x = torch.randn(2, 4, 8, 8)
    convs = [convolve(block.conv1, x), convolve(block.conv3, x), convolve(block.conv5, x)]
    assert torch.allclose(block(x), torch.cat([*convs, F.max_pool2d(x, 3, 1, 1)], 1), atol=1e-6)


@pytest.mark.parametrize("pool", ["avg", "max"])
@pytest.mark.parametrize("stride", [1, 2])
def test_bn_inception_module_by_hand(pool, stride):
    torch.manual_seed(0)
    ones, project = (3, 2) if stride == 1 else (0, 0)
    block = bn_inception.inception(6, ones, 4, 5, 2, 4, pool, project).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    x = torch.randn(2, 6, 7, 7)
    expected = [convolve(block.conv1, x)] if ones else []
    expected.append(convolve(block.conv3.conv, convolve(block.conv3.reduce, x)))
    double = convolve(block.double3.conv1, convolve(block.double3.reduce, x))
    expected.append(convolve(block.double3.conv2, double))
    if pool == "avg":
        within = F.avg_pool2d(torch.ones_like(x), 3, stride, 1)
        pooled = F.avg_pool2d(x, 3, stride, 1) / within
    else:
        pooled = F.max_pool2d(x, 3, stride, 1)
    expected.append(convolve(block.pool.project, pooled) if project else pooled)
    assert torch.allclose(block(x), torch.cat(expected, 1), atol=1e-5)


def test_bn_inception_has_the_papers_maps():
    net = on_meta("bn_inception")
    _, maps = net.forward_intermediates(torch.empty(1, 3, 224, 224, device="meta"))
    assert [m.shape[-1] for m in maps] == [56, 28, 28, 28, 14, 14, 14, 14, 14, 7, 7, 7]
    assert [m.shape[1] for m in maps] == [64, 192, 256, 320, 576, 576, 576, 576, 576, 1056 - 32, 1024, 1024]
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [conv.out_channels for conv in convs] == [norm.num_features for norm in norms]
    assert all(conv.bias is None for conv in convs)
