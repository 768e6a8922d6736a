"""The fourth change to a kernel's source: a guest writes only to those files of the host that it
was given.

Root in a stock guest may mount the host's file tree (hostfs) anywhere, writable, and then has all
the rights of the user who started the guest. Two things prevent that here, each without the other:

- The kernel's program enters a mount namespace of its own before it boots (`MAIN_FILE`). Everything
  there is read-only except the folders that `VARIABLE`_0, `VARIABLE`_1, ... of its environment
  name. Capabilities that do not concern the rights on files are given up, so that no device node
  can be made. The host's kernel enforces this, whatever happens in the guest. It needs root or a
  user namespace. Where neither is allowed, the guest starts without it.
- In the guest, nothing more can be mounted from the host once process 1 has written to
  /sys/module/hostfs/parameters/sealed, and device nodes
  cannot be made on the host (`HOSTFS_FILE`). The guest's kernel enforces this, on every machine.
"""

from __future__ import annotations

import re

MAIN_FILE, HOSTFS_FILE = "arch/um/os-Linux/main.c", "fs/hostfs/hostfs_kern.c"
HEADER_FILE = "arch/um/os-Linux/internal.h"
"""Included by `MAIN_FILE` from its own folder, so it has to lie beside the changed one."""
VARIABLE = "KEEPALIVE_HARNESS_WRITABLE"
MOST_FOLDERS = 64
MARK_FILE = "confined"
"""In the first of those folders: made by the kernel's program when it has made everything else
read-only.
"""

_MAIN = "int __init main(int argc, char **argv, char **envp)\n{\n"
_LIMIT = "\n\tset_stklim();\n"
_CONFINED = "\n\tconfine_files();\n"
_CONFINE = f"""\
/* keepalive-harness: a mount namespace in which only some folders are writable */
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/capability.h>

#define MOST_FOLDERS {MOST_FOLDERS}
#define NEW_MOUNTS 0x00020000
#define NEW_USER 0x10000000
#define CALL_OPEN_TREE 428
#define CALL_MOVE_MOUNT 429
#define CALL_MOUNT_SETATTR 442
#define WHOLE_TREE 0x8000
#define CLONED_TREE (1 | O_CLOEXEC | WHOLE_TREE)
#define EMPTY_PATH 4
#define FILE_RIGHTS 0x3fu /* CAP_CHOWN to CAP_KILL */

struct tree_attributes {{
	unsigned long long set, clear, propagation, users;
}};

static int __init change_all(unsigned long long set, unsigned long long propagation)
{{
	struct tree_attributes wanted = {{ set, 0, propagation, 0 }};

	return syscall(CALL_MOUNT_SETATTR, AT_FDCWD, "/", WHOLE_TREE, &wanted, sizeof(wanted));
}}

static const char *__init writable_folder(int number)
{{
	char name[64];

	snprintf(name, sizeof(name), "{VARIABLE}_%d", number);
	return number < MOST_FOLDERS ? getenv(name) : NULL;
}}

static int __init write_text(const char *path, const char *text)
{{
	int file = open(path, O_WRONLY | O_CLOEXEC), good;

	if (file < 0)
		return -1;
	good = write(file, text, strlen(text)) == (ssize_t)strlen(text);
	close(file);
	return good ? 0 : -1;
}}

static int __init enter_user_namespace(void)
{{
	unsigned int user = geteuid(), group = getegid();
	char users[64], groups[64];

	snprintf(users, sizeof(users), "%u %u 1", user, user);
	snprintf(groups, sizeof(groups), "%u %u 1", group, group);
	if (unshare(NEW_USER | NEW_MOUNTS))
		return -1;
	write_text("/proc/self/setgroups", "deny");
	return write_text("/proc/self/uid_map", users) || write_text("/proc/self/gid_map", groups);
}}

/* 0: done; 1: nothing was changed that matters; -1: half done */
static int __init make_read_only(void)
{{
	int trees[MOST_FOLDERS], count;

	if (change_all(0, 1 << 18 /* MS_PRIVATE */))
		return 1;
	for (count = 0; writable_folder(count); count++) {{
		trees[count] = syscall(CALL_OPEN_TREE, AT_FDCWD, writable_folder(count), CLONED_TREE);
		if (trees[count] < 0)
			return 1;
	}}
	if (change_all(1 /* MOUNT_ATTR_RDONLY */, 0))
		return -1;
	for (count = 0; writable_folder(count); count++) {{
		if (syscall(CALL_MOVE_MOUNT, trees[count], "", AT_FDCWD, writable_folder(count), EMPTY_PATH))
			return -1;
		close(trees[count]);
	}}
	return 0;
}}

static void __init keep_file_rights_only(void)
{{
	struct __user_cap_header_struct header = {{ _LINUX_CAPABILITY_VERSION_3, 0 }};
	struct __user_cap_data_struct data[2] = {{}};
	int number;

	for (number = 6; number < 64; number++)
		prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_capget, &header, data);
	data[0].effective &= FILE_RIGHTS;
	data[0].permitted &= FILE_RIGHTS;
	data[0].inheritable = data[1].inheritable = data[1].effective = data[1].permitted = 0;
	syscall(SYS_capset, &header, data);
}}

static void __init leave_mark(void)
{{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/{MARK_FILE}", writable_folder(0)) < (int)sizeof(path))
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}}

static int __init try_in_user_namespace(void)
{{
	int status = 0, child = fork();

	if (child == 0)
		_exit(enter_user_namespace() || make_read_only());
	return child < 0 || waitpid(child, &status, 0) != child || status;
}}

static void __init confine_files(void)
{{
	int result = 1;

	if (!writable_folder(0))
		return;
	if (unshare(NEW_MOUNTS) == 0)
		result = make_read_only();
	else if (try_in_user_namespace() == 0) /* who has entered one cannot leave it */
		result = enter_user_namespace() ? -1 : make_read_only() ? -1 : 0;
	if (result < 0) {{
		perror("making the host's files read-only for the guest");
		exit(1);
	}}
	if (result == 0) {{
		keep_file_rights_only();
		leave_mark();
	}}
}}

"""  # noqa: E501

_MAKE_NODE = re.compile(
    r"(static int hostfs_mknod\(.*?)(\n\tname = dentry_name\(dentry\);)", re.DOTALL
)
_NO_DEVICES = "\n\tif (S_ISCHR(mode) || S_ISBLK(mode))\n\t\treturn -EPERM;\n"
_GET_TREE = "static int hostfs_fc_get_tree(struct fs_context *fc)\n{\n"
_SEAL = """\
/* keepalive-harness: what process 1 has not mounted from the host by then cannot be mounted */
#include <linux/moduleparam.h>

static bool sealed;

static int set_sealed(const char *text, const struct kernel_param *parameter)
{
	sealed = true;
	return 0;
}

static const struct kernel_param_ops sealed_ops = { .set = set_sealed };
module_param_cb(sealed, &sealed_ops, NULL, 0200);

"""
_UNLESS_SEALED = "\tif (sealed)\n\t\treturn -EPERM;\n"

_IN_MAIN = f"{_MAIN}\0{_LIMIT}\0{_CONFINED}\0{_CONFINE}"
_IN_HOSTFS = f"{_MAKE_NODE.pattern}\0{_NO_DEVICES}\0{_GET_TREE}\0{_SEAL}\0{_UNLESS_SEALED}"
CHANGE = f"{_IN_MAIN}\0{_IN_HOSTFS}"
"""All that decides what becomes of a source, for telling kernels apart."""


def with_confinement(source: str) -> str | None:
    """`MAIN_FILE` with that change, None where the source is not what is expected."""
    if source.count(_MAIN) != 1 or source.count(_LIMIT) != 1:
        return None
    return source.replace(_LIMIT, _CONFINED + _LIMIT).replace(_MAIN, _CONFINE + _MAIN)


def as_it_is(source: str) -> str:
    """`HEADER_FILE`, which does not change."""
    return source


def with_seal(source: str) -> str | None:
    """`HOSTFS_FILE` with that change, None where the source is not what is expected."""
    if source.count(_GET_TREE) != 1 or len(_MAKE_NODE.findall(source)) != 1:
        return None
    source = _MAKE_NODE.sub(lambda found: found[1] + _NO_DEVICES + found[2], source)
    return source.replace(_GET_TREE, _SEAL + _GET_TREE + _UNLESS_SEALED)
