"""SMART's training written out plainly, as a check on mvlib's and a clock to race."""

import torch
import torch.nn.functional as F
from torch import nn


def half(widths):
    layers = []
    for i in range(len(widths) - 1):
        layers.append(nn.Linear(widths[i], widths[i + 1]))
        if i < len(widths) - 2:
            layers.append(nn.BatchNorm1d(widths[i + 1]))
            layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers)


class PlainNetwork(nn.Module):
    """Built in the order in which mvlib builds its own, so that one seed gives both."""

    def __init__(self, widths, hidden_dims, d):
        super().__init__()
        self.halves = nn.ModuleList()
        for width in widths:
            self.halves.append(half([width, *hidden_dims, d]))
            self.halves.append(half([d, *reversed(hidden_dims), width]))
        self.projector = nn.Linear(d, d)


def correlation(Z_a, Z_b):
    def standardise(Z):
        mean = Z.detach().mean(dim=1, keepdim=True)
        std = Z.detach().std(dim=1, keepdim=True)
        return (Z - mean) / std

    n, d = Z_a.shape
    return standardise(Z_a) @ standardise(Z_b).T / (d - 1) + 1e-5 * torch.eye(n)


def plain_loss(network, X_1, X_2, aligned, lambda1, lambda2, tau):
    encode_1, decode_1, encode_2, decode_2 = network.halves
    Z_1, Z_2 = encode_1(X_1), encode_2(X_2)
    loss = F.mse_loss(decode_1(Z_1), X_1) + F.mse_loss(decode_2(Z_2), X_2)
    C_12 = correlation(Z_1, Z_2)
    A_1, A_2 = Z_1[aligned], Z_2[aligned]
    diagonal = torch.diag(correlation(A_1, A_2))
    loss = loss + lambda1 * ((diagonal - 1) ** 2).mean()
    loss = loss + lambda1 * ((correlation(A_1, A_1) - correlation(A_2, A_2)) ** 2).mean()
    with torch.no_grad():
        T = torch.clamp(diagonal.mean() - diagonal.std(), min=0.01)
        W = torch.where(C_12 >= T, C_12, torch.zeros_like(C_12))
        rows = torch.arange(len(W))[aligned]
        W[rows, rows] = 1.0
        for i in torch.nonzero(W.sum(dim=1) == 0).flatten():
            W[i, C_12[i].argmax()] = 0.01
    H_1 = F.normalize(network.projector(Z_1), dim=1)
    H_2 = F.normalize(network.projector(Z_2), dim=1)
    similarity = torch.exp(H_1 @ H_2.T / tau)
    loss_smc = -torch.log((W * similarity).sum(dim=1) / similarity.sum(dim=1)).mean()
    return loss + lambda2 * loss_smc


def plain_training(Xs, aligned, settings, seed, epochs):
    """Train full batch and return the loss of every epoch."""
    torch.manual_seed(seed)
    network = PlainNetwork(
        [X.shape[1] for X in Xs], settings["hidden_dims"], settings["embedding_dim"]
    )
    optimizer = torch.optim.Adam(
        network.parameters(), lr=settings["learning_rate"], weight_decay=0.01
    )
    losses = []
    for _ in range(epochs):
        loss = plain_loss(
            network,
            *Xs,
            aligned,
            settings["lambda1"],
            settings["lambda2"],
            settings["temperature"],
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
