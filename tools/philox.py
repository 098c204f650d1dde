"""sweep's random numbers (src/base/rng.h) in numpy, so that Python can be fed the very same draws.

    from philox import key, units, normals, shuffle
    noise = -np.log(units(key(42, SAMPLE), hi, n))          # what a search draws at one step
"""
import numpy as np

INIT, SHUFFLE, DROPOUT, SAMPLE, POINTS = 1, 2, 3, 4, 5
MASK64 = (1 << 64) - 1


def key(seed, stream):
    """SplitMix64's finaliser of seed and stream: the two 32-bit words of the Philox key."""
    z = (seed + 0x9E3779B97F4A7C15 * (stream + 1)) & MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    z ^= z >> 31
    return z & 0xFFFFFFFF, z >> 32


def blocks(k, hi, lo):
    """Philox4x32-10 for counters (hi, lo[i]): uint32 [n, 4]."""
    lo = np.asarray(lo, dtype=np.uint64)
    m32 = np.uint64(0xFFFFFFFF)
    c0, c1 = lo & m32, lo >> np.uint64(32)
    c2 = np.full_like(lo, np.uint64(hi & 0xFFFFFFFF))
    c3 = np.full_like(lo, np.uint64(hi >> 32))
    k0, k1 = k
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1 = (b >> np.uint64(32)) ^ c1 ^ np.uint64(k0), b & m32
        c2, c3 = (a >> np.uint64(32)) ^ c3 ^ np.uint64(k1), a & m32
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def words(k, hi, n):
    """rng_u32 at indexes 0 .. n-1."""
    return blocks(k, hi, np.arange(-(-n // 4))).reshape(-1)[:n]


def units(k, hi, n):
    """rng_unit of those: float32 in (0, 1)."""
    return ((words(k, hi, n) >> 9).astype(np.float32) + np.float32(0.5)) * np.float32(2.0 ** -23)


def normals(k, hi, n):
    """rng_normal at indexes 0 .. n-1."""
    r = blocks(k, hi, np.arange(-(-n // 2))).astype(np.uint64)
    unit = lambda a, b: (((a >> np.uint64(5)) << np.uint64(26) | b >> np.uint64(6)).astype(np.float64) + 0.5) * 2.0 ** -53
    radius = np.sqrt(-2.0 * np.log(unit(r[:, 0], r[:, 1])))
    angle = 6.283185307179586476925286766559 * unit(r[:, 2], r[:, 3])
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:n].astype(np.float32)


def shuffle(k, hi, n):
    """rng_shuffle: the order of n pairs at position hi (the epoch)."""
    order = list(range(n))
    r = blocks(k, hi, np.arange(n + 1)).astype(object)
    for i in range(n, 1, -1):
        wide = (int(r[i, 0]) << 32) | int(r[i, 1])
        j = (wide * i) >> 64
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


if __name__ == "__main__":
    assert [hex(x) for x in blocks((0, 0), 0, [0])[0]] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    assert [hex(x) for x in blocks((0xa4093822, 0x299f31d0), 0x0370734413198a2e, [0x85a308d3243f6a88])[0]] == \
        ["0xd16cfe09", "0x94fdcceb", "0x5001e420", "0x24126ea1"]
    print("known answers agree")
