#!/usr/bin/env python3
"""Writes small ONNX models into a folder: the networks that dosa ships, as exporters write them, and every operator
that becomes a layer. Weights are sizes without values. Usage: onnx_models.py FOLDER

onnx_models.py FOLDER resnet50 writes ResNet-50 alone, with weights of 0."""
import math
import pathlib
import sys

import onnx
from onnx import TensorProto, helper

FLOAT, INT64, INT8, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT8, TensorProto.UINT8


class Graph:
    """Nodes and weights as they are added; a method returns the name of its output."""
    with_values = False

    def __init__(self, name):
        self.name, self.nodes, self.weights, self.inputs, self.count = name, [], [], [], 0

    def input(self, name, shape, kind=FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def weight(self, dims, kind=FLOAT):
        """A tensor whose values are in a file that is not there, or 0."""
        self.count += 1
        if self.with_values:
            values = helper.make_tensor(f"w{self.count}", kind, dims, bytes(4 * math.prod(dims)), raw=True)
            self.weights.append(values)
            return values.name
        tensor = TensorProto(name=f"w{self.count}", data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="weights.bin")
        self.weights.append(tensor)
        return tensor.name

    def constant(self, values, kind=INT64, dims=None):
        self.count += 1
        tensor = helper.make_tensor(f"c{self.count}", kind, [len(values)] if dims is None else dims, values)
        self.weights.append(tensor)
        return tensor.name

    def node(self, op, inputs, name=None, outputs=1, domain="", **attributes):
        self.count += 1
        made = [f"t{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, made, name=name or f"{op}_{self.count}", domain=domain, **attributes))
        return made[0] if outputs == 1 else made

    def conv(self, x, name, channels, filters, kernel, stride=1, pad=0, groups=1, **attributes):
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        w = self.weight([filters, channels // groups, *kernel])
        if pad is not None:
            attributes["pads"] = pad if isinstance(pad, list) else [pad] * (2 * len(kernel))
        return self.node("Conv", [x, w], name, kernel_shape=kernel, strides=[stride] * len(kernel), group=groups, **attributes)

    def dense(self, x, name, inner, columns):
        return self.node("Gemm", [x, self.weight([columns, inner]), self.weight([columns])], name, transB=1)

    def write(self, folder, outputs, opset=13, others=(), stated=(), functions=()):
        results = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, results, self.weights, value_info=list(stated))
        opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1) for domain in others]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="tests", functions=list(functions))
        onnx.save(model, str(folder / f"{self.name}.onnx"))


def bottlenecks(g, x, blocks, groups, width):
    """ResNet-50's stages (ResNeXt's with groups), the stride in the 3x3 convolution."""
    channels = 64
    for stage, count in enumerate(blocks):
        inner, outer = width << stage, 256 << stage
        for block in range(count):
            stride, name = 2 if stage > 0 and block == 0 else 1, f"conv{stage + 2}_{block + 1}"
            y = g.node("Relu", [g.conv(x, name + ".1x1a", channels, inner, 1)])
            y = g.node("Relu", [g.conv(y, name + ".3x3b", inner, inner, 3, stride, 1, groups)])
            y = g.conv(y, name + ".1x1c", inner, outer, 1)
            if block == 0:
                x = g.conv(x, name + ".shortcut", channels, outer, 1, stride)
            x, channels = g.node("Relu", [g.node("Add", [x, y])]), outer
    return x


def resnet(folder, name, groups, width):
    g = Graph(name)
    x = g.input("image", ["N", 3, 224, 224])
    x = g.node("Relu", [g.conv(x, "conv1", 3, 64, 7, 2, 3)])
    x = g.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = bottlenecks(g, x, (3, 4, 6, 3), groups, width)
    x = g.node("Flatten", [g.node("GlobalAveragePool", [x])])
    g.write(folder, [g.dense(x, "fc", 2048, 1000)])


def mobilenet_v2(folder):
    g = Graph("mobilenet_v2")
    x = g.node("Clip", [g.conv(g.input("image", [1, 3, 224, 224]), "conv1", 3, 32, 3, 2, 1)])
    channels, number = 32, 0
    for expand, out, repeats, first in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                        (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(repeats):
            number += 1
            inner, name, y = channels * expand, f"bottleneck{number}", x
            if expand > 1:
                y = g.node("Clip", [g.conv(y, name + ".expand", channels, inner, 1)])
            y = g.node("Clip", [g.conv(y, name + ".depthwise", inner, inner, 3, first if i == 0 else 1, 1, inner)])
            y = g.conv(y, name + ".project", inner, out, 1)
            x, channels = g.node("Add", [x, y]) if i > 0 else y, out
    x = g.node("GlobalAveragePool", [g.conv(x, "conv2", 320, 1280, 1)])
    g.write(folder, [g.dense(g.node("Flatten", [x]), "fc", 1280, 1000)])


def vgg16(folder):
    g = Graph("vgg16")
    x, channels = g.input("image", [1, 3, 224, 224]), 3
    for stage, (count, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))):
        for i in range(count):
            x = g.node("Relu", [g.conv(x, f"conv{stage + 1}_{i + 1}", channels, filters, 3, 1, 1)])
            channels = filters
        x = g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = g.dense(g.node("Flatten", [x]), "fc6", 25088, 4096)
    g.write(folder, [g.dense(g.dense(x, "fc7", 4096, 4096), "fc8", 4096, 1000)])


def alexnet(folder):
    g = Graph("alexnet")
    pool = {"kernel_shape": [3, 3], "strides": [2, 2]}
    x = g.conv(g.input("image", [1, 3, 224, 224]), "conv1", 3, 96, 11, 4, 2)
    x = g.conv(g.node("MaxPool", [x], **pool), "conv2", 96, 256, 5, 1, 2, 2)
    x = g.conv(g.node("MaxPool", [x], **pool), "conv3", 256, 384, 3, 1, 1)
    x = g.conv(g.conv(x, "conv4", 384, 384, 3, 1, 1, 2), "conv5", 384, 256, 3, 1, 1, 2)
    x = g.node("Reshape", [g.node("MaxPool", [x], **pool), g.constant([0, -1])])
    g.write(folder, [g.dense(g.dense(g.dense(x, "fc6", 9216, 4096), "fc7", 4096, 4096), "fc8", 4096, 1000)])


def unet(folder):
    """Unpadded convolutions; the up-convolution is an upsampling and a 2x2 convolution, padded on two sides."""
    g = Graph("unet")
    x, channels, sides = g.input("image", [1, 1, 572, 572]), 1, []
    for level in range(5):
        name, filters = f"down{level + 1}" if level < 4 else "bottom", 64 << level
        x = g.conv(g.conv(x, name + ".conv1", channels, filters, 3), name + ".conv2", filters, filters, 3)
        channels = filters
        if level < 4:
            sides.append(x)
            x = g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    for level in range(4, 0, -1):
        filters, size = 32 << level, {4: 56, 3: 104, 2: 200, 1: 392}[level]
        x = g.node("Resize", [x, "", g.constant([1, 1, 2, 2], FLOAT)])
        x = g.conv(x, f"up{level}.upconv", channels, filters, 2, 1, [0, 0, 1, 1])
        cut = g.node("Slice", [sides[level - 1], g.constant([0, 0]), g.constant([size, size]), g.constant([2, 3])])
        x = g.node("Concat", [cut, x], axis=1)
        x = g.conv(x, f"up{level}.conv1", 2 * filters, filters, 3)
        x, channels = g.conv(x, f"up{level}.conv2", filters, filters, 3), filters
    g.write(folder, [g.conv(x, "out.1x1", 64, 2, 1)])


def retinanet(folder):
    """Pyramid and heads; of the shared towers one convolution of two stands for each head."""
    g, outputs = Graph("retinanet"), []

    def heads(x, name):
        y = g.conv(g.conv(x, name + ".3x3", 256, 256, 3, 1, 1), name + ".3x3b", 256, 256, 3, 1, 1)
        outputs.extend([g.conv(y, name + ".class", 256, 720, 3, 1, 1), g.conv(y, name + ".box", 256, 36, 3, 1, 1)])

    for level, (size, channels) in enumerate(((28, 512), (14, 1024), (7, 2048))):
        name = f"p{level + 3}"
        heads(g.conv(g.input(f"c{level + 3}", [1, channels, size, size]), name + ".lateral", channels, 256, 1), name)
    p6 = g.conv("c5", "p6.down", 2048, 256, 3, 2, 1)
    heads(g.conv(p6, "p6.1x1", 256, 256, 1), "p6")
    p7 = g.conv(p6, "p7.down", 256, 256, 3, 2, 1)
    heads(g.conv(p7, "p7.1x1", 256, 256, 1), "p7")
    g.write(folder, outputs)


def split_heads(g, x, batch, tokens, heads, width, order):
    """[batch, tokens, heads * width] as exporters split it: a shape computed from that of the tensor."""
    shape = g.node("Shape", [x])
    parts = [g.node("Unsqueeze", [g.node("Gather", [shape, g.constant([i], dims=[])]), g.constant([0])]) for i in (0, 1)]
    target = g.node("Concat", parts + [g.constant([heads]), g.constant([width])], axis=0)
    return g.node("Transpose", [g.node("Reshape", [x, target])], perm=order)


def encoder(g, x, name, hidden, heads, ffn):
    """One block with separate heads: two activations are multiplied twice."""
    width = hidden // heads

    def project(y, part):
        y = g.node("MatMul", [y, g.weight([hidden, hidden])], f"{name}.{part}")
        return g.node("Add", [y, g.weight([hidden])])

    q = split_heads(g, project(x, "query"), 0, 0, heads, width, [0, 2, 1, 3])
    k = split_heads(g, project(x, "key"), 0, 0, heads, width, [0, 2, 3, 1])
    v = split_heads(g, project(x, "value"), 0, 0, heads, width, [0, 2, 1, 3])
    scores = g.node("Softmax", [g.node("MatMul", [q, k], name + ".scores")], axis=-1)
    context = g.node("Transpose", [g.node("MatMul", [scores, v], name + ".context")], perm=[0, 2, 1, 3])
    x = g.node("Add", [x, project(g.node("Reshape", [context, g.constant([0, 0, hidden])]), "output")])
    y = g.node("Relu", [g.node("MatMul", [x, g.weight([hidden, ffn])], name + ".expand")])
    return g.node("Add", [x, g.node("MatMul", [y, g.weight([ffn, hidden])], name + ".contract")])


def bert(folder, layers=12):
    g = Graph("bert_base")
    ids = g.input("input_ids", ["batch", "sequence"], INT64)
    x = g.node("Gather", [g.weight([30522, 768]), ids])
    for layer in range(layers):
        x = encoder(g, x, f"layer{layer}", 768, 12, 3072)
    g.write(folder, [x])


def vit(folder):
    """ViT-B/16: patches by a convolution, 197 tokens."""
    g = Graph("vit_b16")
    x = g.conv(g.input("image", ["batch", 3, 224, 224]), "patches", 3, 768, 16, 16)
    x = g.node("Transpose", [g.node("Reshape", [x, g.constant([0, 768, -1])])], perm=[0, 2, 1])
    shape = g.node("Shape", [x])
    target = g.node("Concat", [g.node("Gather", [shape, g.constant([0])]), g.constant([1, 768])], axis=0)
    token = g.node("Expand", [g.weight([1, 1, 768]), target])
    x = g.node("Concat", [token, x], axis=1)
    for layer in range(2):
        x = encoder(g, x, f"layer{layer}", 768, 12, 3072)
    x = g.node("Gather", [x, g.constant([0], dims=[])], axis=1)
    g.write(folder, [g.dense(x, "head", 768, 1000)])


def llama_block(folder):
    """A decoder's block with 32 heads over 8 of keys, whose keys and values are concatenated to those of the past."""
    g = Graph("llama_block")
    x = g.input("hidden", ["batch_size", "sequence_length", 4096])
    past = [g.input(f"past_key_values.0.{part}", ["batch_size", 8, "past_sequence_length", 128]) for part in ("key", "value")]

    def project(part, columns, heads):
        y = g.node("MatMul", [x, g.weight([4096, columns])], part)
        return g.node("Transpose", [g.node("Reshape", [y, g.constant([0, 0, heads, 128])])], perm=[0, 2, 1, 3])

    q, k, v = project("q", 4096, 32), project("k", 1024, 8), project("v", 1024, 8)
    k, v = (g.node("Concat", [old, new], axis=2) for old, new in zip(past, (k, v)))

    def repeated(y):
        """[batch, 8, keys, 128] for all 32 heads, by an expansion as PyTorch exports it."""
        y = g.node("Unsqueeze", [y, g.constant([2])])
        shape = g.node("Shape", [y])
        keys = g.node("Gather", [shape, g.constant([3])])
        batch = g.node("Gather", [shape, g.constant([0])])
        wide = g.node("Concat", [batch, g.constant([8, 4]), keys, g.constant([128])], axis=0)
        flat = g.node("Concat", [batch, g.constant([32]), keys, g.constant([128])], axis=0)
        return g.node("Reshape", [g.node("Expand", [y, wide]), flat])

    scores = g.node("MatMul", [q, g.node("Transpose", [repeated(k)], perm=[0, 1, 3, 2])], "scores")
    y = g.node("MatMul", [g.node("Softmax", [scores], axis=-1), repeated(v)], "context")
    y = g.node("Reshape", [g.node("Transpose", [y], perm=[0, 2, 1, 3]), g.constant([0, 0, 4096])])
    y = g.node("Add", [x, g.node("MatMul", [y, g.weight([4096, 4096])], "o")])
    gate = g.node("Sigmoid", [g.node("MatMul", [y, g.weight([4096, 14336])], "gate")])
    up = g.node("MatMul", [y, g.weight([4096, 14336])], "up")
    g.write(folder, [g.node("MatMul", [g.node("Mul", [gate, up]), g.weight([14336, 4096])], "down")])


def operators(folder):
    """One model of each operator; their layers stand in onnx_test.cpp."""

    def single(name, op, inputs, outputs=1, opset=13, domain="", **attributes):
        """Inputs: (shape, kind, is it a weight)."""
        g, names = Graph(name), []
        for i, given in enumerate(inputs):
            if given is None:
                names.append("")
                continue
            shape, kind, weight = (*given, FLOAT, False)[:3] if len(given) < 3 else given
            names.append(g.weight(shape, kind) if weight else g.input(f"x{i}", shape, kind))
        made = g.node(op, names, "node", outputs, domain, **attributes)
        g.write(folder, [made] if outputs == 1 else made, opset, [domain] if domain else [])

    x, w = lambda *shape: (shape, FLOAT, False), lambda *shape: (shape, FLOAT, True)
    q, qw = lambda *shape: (shape, UINT8, False), lambda *shape: (shape, INT8, True)
    scale = w()
    zero = ((), UINT8, True)
    wzero = ((), INT8, True)
    single("conv1d", "Conv", [x(2, 80, 3000), w(384, 80, 3)], pads=[1, 1], strides=[2])
    single("conv3d_flat", "Conv", [x(1, 16, 8, 14, 14), w(32, 16, 1, 3, 3)], pads=[0, 1, 1, 0, 1, 1])
    single("conv3d", "Conv", [x(1, 3, 16, 112, 112), w(64, 3, 3, 7, 7)], pads=[1, 3, 3, 1, 3, 3], strides=[1, 2, 2])
    single("rectangle", "Conv", [x(1, 1, 128, 400), w(32, 1, 41, 11)], pads=[20, 5, 20, 5], strides=[2, 3])
    single("dilated", "Conv", [x(1, 256, 64, 64), w(256, 256, 3, 3)], pads=[12] * 4, dilations=[12, 12])
    single("same_upper", "Conv", [x(1, 3, 224, 224), w(32, 3, 3, 3)], auto_pad="SAME_UPPER", strides=[2, 2])
    single("same_lower", "Conv", [x(1, 3, 224, 224), w(32, 3, 3, 3)], auto_pad="SAME_LOWER", strides=[2, 2])
    single("valid", "Conv", [x(1, 3, 224, 224), w(32, 3, 3, 3)], auto_pad="VALID", strides=[2, 2])
    single("uneven", "Conv", [x(1, 8, 10, 12), w(8, 8, 3, 3)], pads=[0, 1, 2, 3])
    single("odd_input", "Conv", [x(1, 8, 57, 57), w(8, 8, 3, 3)], pads=[1] * 4, strides=[2, 2])
    single("upconv2", "ConvTranspose", [x(1, 64, 28, 28), w(64, 32, 2, 2)], strides=[2, 2])
    single("upconv4", "ConvTranspose", [x(1, 64, 16, 16), w(64, 32, 4, 4)], strides=[2, 2], pads=[1] * 4)
    single("upconv3", "ConvTranspose", [x(1, 64, 16, 16), w(64, 32, 3, 3)], strides=[2, 2], pads=[1] * 4, output_padding=[1, 1])
    single("gemm", "Gemm", [x(512, 4), w(512, 10)], transA=1)
    single("matmul3", "MatMul", [x(2, 5, 64), w(64, 32)])
    single("matmul_left", "MatMul", [w(32, 64), x(2, 64, 5)])
    single("matmul_batch", "MatMul", [x(2, 12, 128, 64), x(2, 12, 64, 128)])
    single("matmul_shared", "MatMul", [x(2, 12, 128, 64), x(2, 1, 64, 128)])
    single("matmul_vector", "MatMul", [x(64), w(64, 32)])
    single("einsum", "Einsum", [x(2, 128, 12, 64), x(2, 100, 12, 64)], equation="bqhd,bkhd->bhqk")
    single("qlinearconv", "QLinearConv", [q(1, 3, 32, 32), scale, zero, qw(16, 3, 3, 3), scale, wzero, scale, zero], pads=[1] * 4)
    single("convinteger", "ConvInteger", [q(1, 3, 32, 32), qw(16, 3, 3, 3)], pads=[1] * 4)
    single("qlinearmatmul", "QLinearMatMul", [q(8, 64), scale, zero, qw(64, 32), scale, wzero, scale, zero])
    single("matmulinteger", "MatMulInteger", [q(8, 64), qw(64, 32)])
    single("qgemm", "QGemm", [q(8, 64), scale, zero, qw(32, 64), scale, wzero], domain="com.microsoft", transB=1)
    single("fusedmatmul", "FusedMatMul", [x(2, 8, 64), x(2, 32, 64)], domain="com.microsoft", transB=1)
    single("matmulnbits", "MatMulNBits", [x(1, 7, 4096), ((4096, 32, 64), UINT8, True), w(131072)], domain="com.microsoft", K=4096, N=4096, bits=4, block_size=128)
    single("lstm", "LSTM", [x(20, 3, 100), w(2, 1024, 100), w(2, 1024, 256)], 3, hidden_size=256, direction="bidirectional")
    single("attention", "Attention", [x(2, 128, 768), w(768, 2304), w(2304)], domain="com.microsoft", num_heads=12)
    single("mha", "MultiHeadAttention", [x(2, 128, 768), x(2, 77, 768), x(2, 77, 768)], domain="com.microsoft", num_heads=12)
    single("gqa", "GroupQueryAttention", [x(1, 1, 4096), x(1, 1, 1024), x(1, 1, 1024), x(1, 8, 2048, 128), x(1, 8, 2048, 128)],
           domain="com.microsoft", num_heads=32, kv_num_heads=8)


def valued(folder):
    """Weights with their values: raw, as numbers, and of a node; a small one that decides a shape."""
    g = Graph("valued")
    for dims in ([128, 128, 3, 3], [300, 300]):
        g.count += 1
        g.weights.append(TensorProto(name=f"w{g.count}", data_type=FLOAT, dims=dims))
        if len(dims) == 4:
            g.weights[-1].raw_data = bytes(4 * math.prod(dims))
        else:
            g.weights[-1].float_data.extend([0.5] * math.prod(dims))
    conv, dense = (weight.name for weight in g.weights)
    x = g.node("Conv", [g.input("x", [1, 128, 14, 14]), conv], "conv", kernel_shape=[3, 3], pads=[1] * 4)
    x = g.node("Gemm", [g.node("Reshape", [g.node("GlobalAveragePool", [x]), g.constant([-1, 64])]), g.weight([64, 300])], "first")
    held = g.node("Constant", [], value=helper.make_tensor("held", FLOAT, [300, 512], bytes(4 * 300 * 512), raw=True))
    g.write(folder, [g.node("MatMul", [g.node("MatMul", [x, dense], "second"), held], "third")])


def control(folder):
    """Graphs in graphs, functions, and what nobody knows."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["state", "w"], ["next"], name="step"), helper.make_node("Identity", ["going"], ["on"])],
        "body", [helper.make_tensor_value_info("i", INT64, []), helper.make_tensor_value_info("going", TensorProto.BOOL, []),
                 helper.make_tensor_value_info("state", FLOAT, [4, 64])],
        [helper.make_empty_tensor_value_info("on"), helper.make_empty_tensor_value_info("next")])
    for name, trips in (("loop", [10]), ("endless", None)):
        g = Graph(name)
        g.weights.append(TensorProto(name="w", data_type=FLOAT, dims=[64, 64], data_location=TensorProto.EXTERNAL))
        count = g.constant(trips, dims=[]) if trips else g.input("count", [], INT64)
        g.write(folder, [g.node("Loop", [count, g.constant([1], TensorProto.BOOL, []), g.input("x", [4, 64])], body=body)])
    g = Graph("custom")
    x = g.conv(g.input("x", [1, 3, 8, 8]), "conv", 3, 4, 3)
    stated = helper.make_tensor_value_info("t_custom", FLOAT, [1, 4, 6, 6])
    g.nodes.append(helper.make_node("Swizzle", [x], ["t_custom"], name="s", domain="com.acme"))
    g.write(folder, [g.conv("t_custom", "conv2", 4, 4, 3)], others=["com.acme"], stated=[stated])
    g.name = "custom_unstated"
    g.write(folder, ["t_custom"], others=["com.acme"])
    g = Graph("newer")
    x = g.node("ReduceMean", [g.input("x", [2, 8, 16, 16]), g.constant([2, 3])], keepdims=0)
    g.write(folder, [g.node("MatMul", [x, g.weight([8, 5])], "after")], opset=18)
    g = Graph("resized")
    shape = g.node("Shape", [g.input("x", ["N", 8, 16, 16])])
    size = g.node("Mul", [g.node("Cast", [g.node("Slice", [shape, g.constant([2]), g.constant([4])])], to=FLOAT),
                          g.constant([2.0], FLOAT, [])])
    size = g.node("Concat", [g.node("Slice", [shape, g.constant([0]), g.constant([2])]),
                             g.node("Cast", [g.node("Floor", [size])], to=INT64)], axis=0)
    g.write(folder, [g.conv(g.node("Resize", ["x", "", "", size]), "conv", 8, 4, 3, 1, 1)])
    g = Graph("quantized")
    scale, zero = g.constant([0.1], FLOAT, []), g.constant([0], INT8, [])
    x = g.node("QuantizeLinear", [g.input("x", [1, 3, 32, 32]), scale, zero])
    w = g.node("DequantizeLinear", [g.weight([8, 3, 3, 3], INT8), scale, zero])
    g.write(folder, [g.node("Conv", [g.node("DequantizeLinear", [x, scale, zero]), w], "conv", pads=[1] * 4)])
    product = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["a"], name="chosen")], "then", [],
                                [helper.make_empty_tensor_value_info("a")])
    same = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "else", [], [helper.make_empty_tensor_value_info("b")])
    for name in ("branch", "open_branch"):
        g = Graph(name)
        g.input("x", [4, 64])
        g.weights.append(TensorProto(name="w", data_type=FLOAT, dims=[64, 32], data_location=TensorProto.EXTERNAL))
        known = name == "branch"
        condition = g.constant([1], TensorProto.BOOL, []) if known else g.input("c", [], TensorProto.BOOL)
        g.write(folder, [g.node("If", [condition], "if", then_branch=product, else_branch=same)])
    step = helper.make_graph([helper.make_node("MatMul", ["x_t", "w"], ["m"], name="step"),
                              helper.make_node("Add", ["m", "state"], ["next"]), helper.make_node("Identity", ["next"], ["y_t"])],
                             "step", [helper.make_empty_tensor_value_info(name) for name in ("state", "x_t")],
                             [helper.make_empty_tensor_value_info(name) for name in ("next", "y_t")])
    g = Graph("scan")
    g.weights.append(TensorProto(name="w", data_type=FLOAT, dims=[64, 32], data_location=TensorProto.EXTERNAL))
    made = g.node("Scan", [g.input("s", [4, 32]), g.input("x", [10, 4, 64])], outputs=2, body=step, num_scan_inputs=1)
    g.write(folder, [g.node("MatMul", [made[1], g.weight([32, 5])], "after")])
    calls = [helper.make_node("Twice", ["y"], ["z"], domain="own") if i else
             helper.make_node("Relu", ["x"], ["y"]) for i in range(2)]
    recursive = helper.make_function("own", "Twice", ["x"], ["z"], calls, [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)])
    plain = helper.make_function("own", "Scaled", ["a", "b"], ["c"], [helper.make_node("MatMul", ["a", "b"], ["m"], name="product"),
                                 helper.make_node("Relu", ["m"], ["c"])], [helper.make_opsetid("", 13)])
    for name, function in (("recursive", recursive), ("function", plain)):
        g = Graph(name)
        x = g.input("x", [8, 64])
        made = g.node(function.name, [x] if name == "recursive" else [x, g.weight([64, 32])], "call", domain="own")
        g.write(folder, [made], others=["own"], functions=[function])


def wrong(folder):
    """What no importer may stumble over."""
    g = Graph("zero_stride")
    g.write(folder, [g.conv(g.input("x", [1, 3, 8, 8]), "conv", 3, 4, 3, 0)])
    g = Graph("no_shapes")
    g.inputs.append(helper.make_tensor_value_info("x", FLOAT, None))
    g.write(folder, [g.conv("x", "conv", 3, 4, 3)])
    g = Graph("open_sizes")
    x = g.input("tokens", ["batch", "seq_len", "features"])
    g.write(folder, [g.node("MatMul", [x, g.weight([64, 32])], "product")])
    g = Graph("unnamed")
    g.write(folder, [g.conv(g.input("x", [None, 3, None, 8]), "conv", 3, 4, 3)])
    g = Graph("no_layers")
    g.write(folder, [g.node("Relu", [g.input("x", [4, 4])])])
    g = Graph("huge")
    big = 1 << 40
    g.write(folder, [g.node("MatMul", [g.input("x", [big, big]), g.weight([big, big])], "product")])
    g = Graph("unordered")
    g.nodes.append(helper.make_node("Relu", ["later"], ["y"], name="early"))
    g.write(folder, ["y"])
    g = Graph("bad_data")
    g.weights.append(TensorProto(name="c", data_type=INT64, dims=[3], raw_data=b"12345678"))
    g.write(folder, [g.node("Reshape", [g.input("x", [4, 4]), "c"])])
    g = Graph("mod_zero")
    x = g.node("DepthToSpace", [g.input("x", [1, 4, 4, 4])], blocksize=0)
    g.write(folder, [g.conv(x, "conv", 1, 1, 1)])


def main():
    folder = pathlib.Path(sys.argv[1])
    if sys.argv[2:] == ["resnet50"]:
        Graph.with_values = True
        return resnet(folder, "resnet50", 1, 64)
    resnet(folder, "resnet50", 1, 64)
    resnet(folder, "resnext50", 32, 128)
    for write in (mobilenet_v2, vgg16, alexnet, unet, retinanet, bert, vit, llama_block, operators, valued, control, wrong):
        write(folder)


if __name__ == "__main__":
    main()
