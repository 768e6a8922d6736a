"""The second change to a kernel's source: random numbers that a seed decides, for the programs in a
guest.

Stock Linux (drivers/char/random.c) mixes what it is given and what it meets into one pool,
User-Mode Linux also random bytes of the host. Nothing takes that out again, so no word on the
command line makes two boots draw the same numbers.

Here getrandom(2), /dev/random, /dev/urandom and the sixteen bytes that each program finds at its
start (AT_RANDOM, getauxval(3)) come from a generator of their own once `random.program_seed=N` was
on the command line, or N was written to `SEED_FILE`, which starts it anew. Process 1 is left out:
what the harness itself draws must not shift what programs get. So is what the kernel draws for
itself, such as sequence numbers and ports.
"""

from __future__ import annotations

RANDOM_FILE, START_FILE = "drivers/char/random.c", "fs/binfmt_elf.c"
SEED_FILE = "/sys/module/random/parameters/program_seed"
"""Takes a seed, at any time, in a guest whose kernel has this change."""

_READER = "static ssize_t get_random_bytes_user(struct iov_iter *iter)\n{\n"
_ADDITION = """\
/* keepalive-harness: random numbers for programs, decided by a seed */
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

bool get_seeded_bytes(void *buf, size_t len);
static ssize_t get_collected_bytes_user(struct iov_iter *iter);

static bool program_seeded;
static u64 program_state;
static DEFINE_SPINLOCK(program_lock);

static int set_program_seed(const char *text, const struct kernel_param *parameter)
{
	unsigned long flags;
	u64 seed;
	int error = kstrtou64(text, 0, &seed);

	if (error)
		return error;
	spin_lock_irqsave(&program_lock, flags);
	program_state = seed;
	program_seeded = true;
	spin_unlock_irqrestore(&program_lock, flags);
	return 0;
}

static const struct kernel_param_ops program_seed_ops = { .set = set_program_seed };
module_param_cb(program_seed, &program_seed_ops, NULL, 0200);

/* splitmix64 (Steele, Lea and Flood 2014); false where the caller gets what the kernel collects */
bool get_seeded_bytes(void *buf, size_t len)
{
	unsigned long flags;

	if (!program_seeded || is_global_init(current))
		return false;
	spin_lock_irqsave(&program_lock, flags);
	while (len) {
		size_t part = min_t(size_t, len, sizeof(u64));
		u64 mixed = (program_state += 0x9e3779b97f4a7c15ULL);

		mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
		mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
		mixed ^= mixed >> 31;
		memcpy(buf, &mixed, part);
		buf += part;
		len -= part;
	}
	spin_unlock_irqrestore(&program_lock, flags);
	return true;
}

static ssize_t get_random_bytes_user(struct iov_iter *iter)
{
	u8 block[64];
	size_t ret = 0;

	while (iov_iter_count(iter)) {
		size_t wanted = min_t(size_t, sizeof(block), iov_iter_count(iter));
		size_t copied;

		if (!get_seeded_bytes(block, wanted))
			return get_collected_bytes_user(iter);
		copied = copy_to_iter(block, wanted, iter);
		ret += copied;
		if (copied != wanted)
			return ret ? ret : -EFAULT;
		if (ret % PAGE_SIZE == 0) {
			if (signal_pending(current))
				break;
			cond_resched();
		}
	}
	return ret;
}

"""
_COLLECTED = "static ssize_t get_collected_bytes_user(struct iov_iter *iter)\n{\n"

_TABLES = "static int\ncreate_elf_tables("
_DRAWN = "\tget_random_bytes(k_rand_bytes, sizeof(k_rand_bytes));\n"
_PROTOTYPE = """\
/* keepalive-harness: drivers/char/random.c has it */
bool get_seeded_bytes(void *buf, size_t len);

"""
_SEEDED = "\tif (!get_seeded_bytes(k_rand_bytes, sizeof(k_rand_bytes)))\n\t"

CHANGE = f"{_READER}\0{_ADDITION}\0{_COLLECTED}\0{_TABLES}\0{_DRAWN}\0{_PROTOTYPE}\0{_SEEDED}"
"""All that decides what becomes of a source, for telling kernels apart."""


def with_seeded_reads(source: str) -> str | None:
    """`RANDOM_FILE` with that change, None where the source is not what is expected."""
    if source.count(_READER) != 1:
        return None
    return source.replace(_READER, _ADDITION + _COLLECTED)


def with_seeded_start(source: str) -> str | None:
    """`START_FILE` with that change, None where the source is not what is expected."""
    if source.count(_TABLES) != 1 or source.count(_DRAWN) != 1:
        return None
    return source.replace(_DRAWN, _SEEDED + _DRAWN).replace(_TABLES, _PROTOTYPE + _TABLES)
