"""Weights out of the tensors that vLLM holds after loading: float32 [..., out, in].

Written from docs/output-format.md. Leading dimensions (experts) are kept; numpy_decoder.py reads the same weights out of
the file, without vLLM.
"""

import torch

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def grouped(values, scale, size):
    """One scale for `size` columns."""
    return (values.unflatten(-1, (-1, size)) * scale[..., None]).flatten(-2)


def e2m1(packed):
    return torch.stack([E2M1[(packed & 15).long()], E2M1[(packed >> 4).long()]], -1).flatten(-2)


def e8m0(scale):
    return torch.ldexp(torch.ones(scale.shape), scale.to(torch.int32) - 127)


def nvfp4(packed, scale, global_scale):
    """`global_scale` divides; one for each row or for all."""
    return grouped(e2m1(packed), scale.float() / global_scale, 16)


def mxfp4(packed, scale):
    return grouped(e2m1(packed), e8m0(scale), 32)


def mxfp8(codes, scale):
    return grouped(codes.float(), e8m0(scale), 32)


def fp8_blocks(codes, scale):
    rows, columns = codes.shape[-2:]
    return codes.float() * scale.float().repeat_interleave(128, -2).repeat_interleave(128, -1)[..., :rows, :columns]


def offset_codes(words, bits):
    """int32 words [..., n] -> codes [..., 32 / bits * n], the low bits first."""
    shifts = torch.arange(32 // bits, dtype=torch.int32) * bits
    return ((words[..., None] >> shifts) & (2**bits - 1)).flatten(-2).float()


def integers(words, bits, scale, zero_words=None):
    """Zero points are packed along the rows."""
    codes = offset_codes(words, bits)
    if zero_words is None:
        zero = torch.full_like(scale, 2.0 ** (bits - 1))
    else:
        zero = offset_codes(zero_words.transpose(-1, -2), bits).transpose(-1, -2)
    size = codes.shape[-1] // scale.shape[-1]
    return ((codes.unflatten(-1, (-1, size)) - zero[..., None]) * scale.float()[..., None]).flatten(-2)
