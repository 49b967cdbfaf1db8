"""Writes adapt_reference.json: what PyTorch 2.11 computes for three iterations with each set of terms (see adapt/tests.rs).

The network is small.rs, the discriminator discriminator.rs, the order of work that of the released AdvEnt loop, in double
precision, with rates and weights that are larger than the papers', so that three iterations move everything.
"""
import json
import math
import os

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
CLASSES, WIDTH, HEIGHT, BATCH, D_WIDTH = 5, 48, 32, 2, 4
SEG, ADV, ENT = (1.0, 0.1), (0.5, 0.2), (0.3, 0.15)  # main, aux
RATE, D_RATE, MAX, POWER = 0.05, 0.01, 10, 0.9


def pattern(count, k):
    return torch.tensor([((i * k) % 101 - 50) / 50 for i in range(count)])


def formula(name, shape):
    u = pattern(math.prod(shape), 37 + len(name)).reshape(shape)
    if len(shape) == 4:
        return u / math.sqrt(math.prod(shape[1:]))
    return 1 + 0.1 * u if name.endswith("norm.weight") else 0.1 * u


def network_shapes(w=16):
    shapes = {}
    for i, (a, b) in enumerate([(3, w), (w, w), (w, 2 * w), (2 * w, 2 * w), (2 * w, 2 * w), (2 * w, 2 * w)]):
        shapes[f"encoder.{i}.conv.weight"] = (b, a, 3, 3)
        shapes[f"encoder.{i}.norm.weight"] = shapes[f"encoder.{i}.norm.bias"] = (b,)
    shapes["fuse.conv.weight"] = (w, 3 * w, 1, 1)
    shapes["fuse.norm.weight"] = shapes["fuse.norm.bias"] = (w,)
    shapes |= {"aux.weight": (CLASSES, 2 * w, 3, 3), "aux.bias": (CLASSES,)}
    return shapes | {"main.weight": (CLASSES, w, 3, 3), "main.bias": (CLASSES,)}


def discriminator_shapes(name):
    channels = [CLASSES, D_WIDTH, 2 * D_WIDTH, 4 * D_WIDTH, 8 * D_WIDTH, 1]
    shapes = {}
    for i in range(5):
        shapes[f"{name}.{2 * i}.weight"] = (channels[i + 1], channels[i], 4, 4)
        shapes[f"{name}.{2 * i}.bias"] = (channels[i + 1],)
    return shapes


def fill(shapes):
    return {name: formula(name, shape).requires_grad_() for name, shape in shapes.items()}


def layer(p, name, x, stride, dilation):
    weight = p[f"{name}.conv.weight"]
    x = F.conv2d(x, weight, None, stride, dilation * (weight.shape[-1] // 2), dilation)
    return F.group_norm(x, 8, p[f"{name}.norm.weight"], p[f"{name}.norm.bias"]).relu()


def up(x, size):
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def generator(p, image):
    half = layer(p, "encoder.1", layer(p, "encoder.0", image, 2, 1), 1, 1)
    middle = layer(p, "encoder.3", layer(p, "encoder.2", half, 2, 1), 1, 2)
    deep = layer(p, "encoder.5", layer(p, "encoder.4", middle, 1, 4), 1, 2)
    fused = layer(p, "fuse", torch.cat([half, up(deep, half.shape[2:])], 1), 1, 1)
    logits = F.conv2d(middle, p["aux.weight"], p["aux.bias"], 1, 1), F.conv2d(fused, p["main.weight"], p["main.bias"], 1, 1)
    return [up(z, image.shape[2:]) for z in logits]


def discriminator(p, name, x):
    for i in range(5):
        x = F.conv2d(x, p[f"{name}.{2 * i}.weight"], p[f"{name}.{2 * i}.bias"], 2, 1)
        x = F.leaky_relu(x, 0.2) if i < 4 else x
    return x


def run(entropy=False, adversary=None, gan="vanilla"):
    """`adversary`: what the discriminators see, "information" or "probabilities"; None: there are none."""
    g, d_aux, d_main = fill(network_shapes()), fill(discriminator_shapes("aux")), fill(discriminator_shapes("main"))
    sgd = torch.optim.SGD(g.values(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    adams = [torch.optim.Adam(d.values(), lr=D_RATE, betas=(0.9, 0.99)) for d in (d_aux, d_main)]

    def seen(z):
        p = z.softmax(1)
        return p if adversary == "probabilities" else -(p * torch.log2(p + 1e-30)) / math.log2(CLASSES)

    def judge(d, name, z, domain):
        x = discriminator(d, name, seen(z))
        loss = F.mse_loss if gan == "ls" else F.binary_cross_entropy_with_logits
        return loss(x, torch.full_like(x, domain))

    rows = []
    for i in range(3):
        scale = (1 - i / MAX) ** POWER
        sgd.param_groups[0]["lr"] = RATE * scale
        for adam in adams:
            adam.param_groups[0]["lr"] = D_RATE * scale
        images = [pattern(BATCH * 3 * HEIGHT * WIDTH, k + i).reshape(BATCH, 3, HEIGHT, WIDTH) for k in (29, 43)]
        labels = (torch.arange(BATCH * HEIGHT * WIDTH) * (7 + i) % 6).reshape(BATCH, HEIGHT, WIDTH)
        labels[labels == 5] = 255
        for optimizer in [sgd, *adams]:
            optimizer.zero_grad()
        row = {}
        s_aux, s_main = generator(g, images[0])
        row["seg_aux"], row["seg_main"] = (F.cross_entropy(z, labels, ignore_index=255) for z in (s_aux, s_main))
        (SEG[0] * row["seg_main"] + SEG[1] * row["seg_aux"]).backward()
        if entropy or adversary:
            t_aux, t_main = generator(g, images[1])
        if entropy:
            for name, z in [("ent_aux", t_aux), ("ent_main", t_main)]:
                p = z.softmax(1)
                row[name] = -(p * torch.log2(p + 1e-30)).sum() / (BATCH * HEIGHT * WIDTH * math.log2(CLASSES))
            (ENT[0] * row["ent_main"] + ENT[1] * row["ent_aux"]).backward(retain_graph=bool(adversary))
        if adversary:
            for p in [*d_aux.values(), *d_main.values()]:
                p.requires_grad_(False)
            row["adv_aux"], row["adv_main"] = judge(d_aux, "aux", t_aux, 0.0), judge(d_main, "main", t_main, 0.0)
            (ADV[0] * row["adv_main"] + ADV[1] * row["adv_aux"]).backward()
            for p in [*d_aux.values(), *d_main.values()]:
                p.requires_grad_(True)
            for side, domain, aux, main in [("s", 0.0, s_aux, s_main), ("t", 1.0, t_aux, t_main)]:
                for d, name, z in [(d_aux, "aux", aux), (d_main, "main", main)]:
                    row[f"d_{name}_{side}"] = judge(d, name, z.detach(), domain) / 2
                    row[f"d_{name}_{side}"].backward()
        sgd.step()
        if adversary:
            for adam in adams:
                adam.step()
        rows.append({name: float(loss) for name, loss in row.items()})
    final = g | (d_aux | d_main if adversary else {})
    return {"losses": rows, "sum_of_absolutes": {name: float(t.detach().abs().sum()) for name, t in final.items()}}


reference = {
    "source-only": run(),
    "minent": run(entropy=True),
    "advent": run(adversary="information"),
    "adaptsegnet": run(adversary="probabilities"),
    "adaptsegnet, least squares": run(adversary="probabilities", gan="ls"),
    "minent and advent": run(entropy=True, adversary="information"),
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "adapt_reference.json")
with open(path, "w") as file:
    json.dump(reference, file, indent=1)
    file.write("\n")
