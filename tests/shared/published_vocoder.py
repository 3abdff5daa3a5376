"""HiFi-GAN's generator as its authors publish it, with the names of its tensors, and a small configuration of it."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import weight_norm

CONFIG = {
    "resblock": "1",
    "upsample_rates": [4, 2],
    "upsample_kernel_sizes": [8, 4],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
    "num_mels": 10,
    "n_fft": 64,
    "hop_size": 8,
    "win_size": 64,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": 8000,
}


class Block(nn.Module):
    """The paper's ResBlock1."""

    def __init__(self, channels, kernel, dilations):
        super().__init__()
        spans = [(kernel - 1) * d // 2 for d in dilations]
        self.convs1 = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel, dilation=d, padding=span))
            for d, span in zip(dilations, spans, strict=True)
        )
        half = kernel // 2
        self.convs2 = nn.ModuleList(weight_norm(nn.Conv1d(channels, channels, kernel, padding=half)) for _ in dilations)

    def forward(self, x):
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, 0.1)), 0.1))
        return x


class PublishedGenerator(nn.Module):
    """The paper's generator under its authors' names."""

    def __init__(self, config):
        super().__init__()
        width = config["upsample_initial_channel"]
        self.conv_pre = weight_norm(nn.Conv1d(config["num_mels"], width, 7, padding=3))
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(config["upsample_rates"], config["upsample_kernel_sizes"], strict=True):
            up = nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2)
            self.ups.append(weight_norm(up))
            width //= 2
            blocks = zip(config["resblock_kernel_sizes"], config["resblock_dilation_sizes"], strict=True)
            self.resblocks.extend(Block(width, size, dilations) for size, dilations in blocks)
        self.conv_post = weight_norm(nn.Conv1d(width, 1, 7, padding=3))

    def forward(self, mel):
        x = self.conv_pre(mel)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, 0.1))
            x = sum(block(x) for block in self.resblocks[2 * i : 2 * i + 2]) / 2
        return torch.tanh(self.conv_post(F.leaky_relu(x)))
