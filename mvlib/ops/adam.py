"""Adam, without the import of torch's compiler."""

from __future__ import annotations

from inspect import unwrap

import torch


class Adam(torch.optim.Adam):
    """torch's Adam, less the wrappers that import `torch._dynamo` for its first step.

    That import costs more than a second of each process that trains, and serves none that does
    not compile. The numbers are the same, to the bit.

    Parameters
    ----------
    params, lr, betas, ...
        As `torch.optim.Adam` takes them; `decoupled_weight_decay=True` makes it AdamW.

    Notes
    -----
    Not for a training inside `torch.compile`.
    """

    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
