#!/bin/sh
# boot.sh BASE FOLDER NAME: start a lab device.
#
# Runs as process 1 of the device's own process, mount, host name and IPC namespaces: when it
# ends, the kernel ends everything in them, and no mount of a device is ever seen outside.
set -e
cd "$2"
mount -t overlay yardarm-lab -o "lowerdir=$1,upperdir=upper,workdir=work" root
mount -t proc proc root/proc
mount --bind cpuinfo root/proc/cpuinfo
mount -t tmpfs -o mode=755,size=1m dev root/dev
mount -t tmpfs -o mode=755 run root/run
mount -t tmpfs -o mode=1777 tmp root/tmp
echo "$3" > root/proc/sys/kernel/hostname
cd root/dev
mknod -m 666 null c 1 3
mknod -m 666 zero c 1 5
mknod -m 666 full c 1 7
mknod -m 666 random c 1 8
mknod -m 666 urandom c 1 9
mknod -m 666 tty c 5 0
mkdir pts shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts pts
mount -t tmpfs -o mode=1777 shm shm
ln -s pts/ptmx ptmx
ln -s /proc/self/fd fd
ln -s fd/0 stdin
ln -s fd/1 stdout
ln -s fd/2 stderr
cd ..
mkdir -m 755 run/sshd run/lock
pivot_root . mnt
cd /
umount -l /mnt
exec /usr/sbin/sshd -D -e
