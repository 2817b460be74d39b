/* What an instance can see and reach: the same small static program in every subject, and on the host beside it.
 *
 * It prints one fact a line, "name value", and judges nothing: the host compares. It opens nothing for writing, and
 * makes nothing but one empty directory that it removes again. Where the root directory holds no /proc (the subject
 * "process") it makes one that is mounted nowhere (fsmount(2)): what a program can do counts, not what was laid out.
 *
 *   look facts DROW                what tells about this system; DROW is the word of a process to find, back to front
 *   look log                       the kernel's messages
 *   look files OWN PATH            search the file system for a file named OWN; try other ways to the host's PATH
 *   look hold WORD [stay]          keep a secret in memory: prints PID ADDRESS SECRET, in the background unless stay
 *   look memory PID ADDRESS        read that secret from outside, in three ways
 *   look listen PORT WORD ADDRESS...  answer every connection to these addresses with WORD
 *   look connect ADDRESS PORT      say what is answered there
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECRET 16       /* bytes */
#define LONGEST_S 120   /* whatever stays behind ends itself */
#define PATIENCE_S 2    /* for a connection */
#define NOBODY 65534
#define MOST_DOORS 8

#ifndef SYS_fsopen
#define SYS_fsopen 430 /* one number on every architecture since Linux 5.2 */
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif

static int proc = -1;

/* Return what the file of /proc holds as one line of at most so many bytes: line ends become blanks. */
static ssize_t slurp(const char *path, char *text, size_t room)
{
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t size = 0, more;
    if (fd < 0)
        return -1;
    while ((size_t)size < room - 1 && (more = read(fd, text + size, room - 1 - (size_t)size)) > 0)
        size += more;
    close(fd);
    text[size] = '\0';
    return size;
}

static void open_proc(void)
{
    int fs;
    proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc >= 0 && faccessat(proc, "self/status", R_OK, 0) == 0)
        return;
    fs = (int)syscall(SYS_fsopen, "proc", 0);
    if (fs < 0 || syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
        return;
    proc = (int)syscall(SYS_fsmount, fs, 0, 0);
}

static void tell(const char *name, const char *value)
{
    printf("%s ", name);
    for (; *value; value++)
        putchar(*value == '\n' || *value == '\t' ? ' ' : *value);
    putchar('\n');
}

static void tell_file(const char *name, const char *path)
{
    static char text[65536];
    if (slurp(path, text, sizeof text) > 0)
        tell(name, text);
}

static void tell_link(const char *name, const char *path)
{
    char text[256];
    ssize_t size = readlinkat(proc, path, text, sizeof text - 1);
    if (size > 0) {
        text[size] = '\0';
        tell(name, text);
    }
}

/* --- facts ---------------------------------------------------------------------------------------------- */

/* Tell the rest of the line that begins with this word. */
static void tell_line(const char *name, const char *path, const char *beginning)
{
    static char text[65536];
    char *line;
    if (slurp(path, text, sizeof text) <= 0)
        return;
    for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, beginning, strlen(beginning)) == 0) {
            line += strlen(beginning);
            tell(name, line + strspn(line, ": \t"));
            return;
        }
}

/* Count the processes that have a command line (kernel threads have none), and find the one with this word. */
static void tell_processes(const char *backwards)
{
    char word[128] = "", path[300], text[4096];
    size_t length = strlen(backwards);
    long count = 0;
    int found = 0, fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *all = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    for (size_t i = 0; i < length && i < sizeof word - 1; i++)
        word[i] = backwards[length - 1 - i];
    while (all && (entry = readdir(all))) {
        ssize_t size;
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "%s/cmdline", entry->d_name);
        if ((size = slurp(path, text, sizeof text)) <= 0)
            continue;
        count++;
        found |= length && memmem(text, (size_t)size, word, length) != NULL;
    }
    if (all) {
        printf("processes %ld\nword-found %d\n", count, found);
        closedir(all);
    }
}

/* Count the settings below a directory of /proc/sys that may be written (asked, not tried). */
static long writable(int above, const char *name)
{
    long count = 0;
    int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        struct stat about;
        if (entry->d_name[0] == '.' || fstatat(fd, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(about.st_mode))
            count += writable(fd, entry->d_name);
        else if ((about.st_mode & 0222) && faccessat(fd, entry->d_name, W_OK, 0) == 0)
            count++;
    }
    if (directory)
        closedir(directory);
    return count;
}

/* Tell the kernel's messages, or the oldest of them alone. */
static void tell_log(int one)
{
    static char log[1 << 20];
    int size = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof log - 1);
    char *line = log;
    log[size > 0 ? size : 0] = '\0';
    while ((line = strtok(line, "\n"))) {
        tell("kernel-log", line);
        line = NULL;
        if (one)
            return;
    }
}

/* Tell the capabilities that are left to a process of this instance that is not root. */
static void tell_nobody(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
            tell("nobody-error", strerror(errno));
        else
            tell_line("nobody-capabilities", "thread-self/status", "CapEff");
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

/* Tell the IPv4 addresses of all interfaces but the loopback's: with the length of the prefix, and whose it is. */
static void tell_addresses(void)
{
    struct ifaddrs *all = NULL;
    char text[INET_ADDRSTRLEN];
    getifaddrs(&all);
    for (struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (!one->ifa_addr || !one->ifa_netmask || one->ifa_addr->sa_family != AF_INET || !strcmp(one->ifa_name, "lo"))
            continue;
        inet_ntop(AF_INET, &((struct sockaddr_in *)one->ifa_addr)->sin_addr, text, sizeof text);
        printf("address %s/%d %s\n", text,
               __builtin_popcount(((struct sockaddr_in *)one->ifa_netmask)->sin_addr.s_addr), one->ifa_name);
    }
    freeifaddrs(all);
}

static void facts(const char *backwards)
{
    struct utsname names;
    struct sysinfo system;
    struct timespec up;
    uname(&names);
    tell("kernel-release", names.release);
    if (sysinfo(&system) == 0) {
        printf("load %.3f %.3f %.3f\n", (double)system.loads[0] / 65536, (double)system.loads[1] / 65536,
               (double)system.loads[2] / 65536);
        printf("memory-size %llu\n", (unsigned long long)system.totalram * system.mem_unit);
    }
    if (clock_gettime(CLOCK_BOOTTIME, &up) == 0)
        printf("uptime %lld.%03ld\n", (long long)up.tv_sec, up.tv_nsec / 1000000);
    tell_file("boot-id", "sys/kernel/random/boot_id");
    tell_line("processor", "cpuinfo", "model name");
    tell_file("command-line", "cmdline");
    tell_file("disks", "partitions");
    tell_log(1);
    tell_processes(backwards);
    tell_file("first-process", "1/comm");
    printf("user %d\n", (int)geteuid());
    tell_file("user-map", "self/uid_map");
    tell_link("user-namespace", "self/ns/user");
    tell_link("pid-namespace", "self/ns/pid");
    tell_link("network-namespace", "self/ns/net");
    tell_line("capabilities", "self/status", "CapEff");
    tell_line("capabilities-bounding", "self/status", "CapBnd");
    tell_line("seccomp", "self/status", "Seccomp:");
    tell_line("no-new-privileges", "self/status", "NoNewPrivs");
    if (faccessat(proc, "sys", R_OK, 0) == 0)
        printf("writable-settings %ld\n", writable(proc, "sys"));
    tell_addresses();
    tell_nobody();
}

/* --- files ---------------------------------------------------------------------------------------------- */

static char mounts[65536];
static long devices, userland_files, own_found;
static unsigned long long userland_bytes;

/* Say whether the path is a mount point; set *kernel where the kernel makes the files up as they are read. */
static int mounted(const char *path, int *kernel)
{
    char *line, *rest = mounts, point[4096], type[64];
    int found = 0;
    *kernel = 0;
    for (; *rest; rest = line + 1) {
        if (!(line = strchr(rest, '\n')))
            break;
        /* 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw: proc_pid_mountinfo(5) */
        char *dash = strstr(rest, " - ");
        if (!dash || dash > line || sscanf(rest, "%*s %*s %*s %*s %4095s", point) != 1 ||
            sscanf(dash, " - %63s", type) != 1 || strcmp(point, path) != 0)
            continue;
        found = 1;
        *kernel = !strcmp(type, "proc") || !strcmp(type, "sysfs") || !strncmp(type, "cgroup", 6);
    }
    return found;
}

static void walk(const char *path, const char *own, int userland, int depth)
{
    DIR *directory = opendir(*path ? path : "/");
    struct dirent *entry;
    while (directory && depth < 64 && (entry = readdir(directory))) {
        char below[4096];
        struct stat about;
        int kernel;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= (int)sizeof below ||
            lstat(below, &about) < 0)
            continue;
        if (!strcmp(entry->d_name, own))
            own_found++;
        if (S_ISCHR(about.st_mode) || S_ISBLK(about.st_mode))
            devices++;
        if (S_ISREG(about.st_mode) && userland) {
            userland_files++;
            userland_bytes += (unsigned long long)about.st_size;
        }
        if (S_ISDIR(about.st_mode)) {
            int elsewhere = mounted(below, &kernel);
            if (!kernel)
                walk(below, own, userland && !elsewhere, depth + 1);
        }
    }
    if (directory)
        closedir(directory);
}

/* Through the root directory of any process that can be seen. */
static int by_process_root(const char *path)
{
    int found = 0, fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *all = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    char name[4500];
    while (all && !found && (entry = readdir(all)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
            snprintf(name, sizeof name, "%s/root%s", entry->d_name, path);
            found = faccessat(proc, name, R_OK, 0) == 0;
        }
    if (all)
        closedir(all);
    return found;
}

/* Out of a changed root by a second one: chroot(2), which warns of it. */
static int by_second_root(const char *path)
{
    char place[] = "/tmp/lookXXXXXX";
    int status = 1;
    if (!mkdtemp(place))
        return 0;
    pid_t child = fork();
    if (child == 0) {
        if (chdir("/") < 0 || chroot(place) < 0)
            _exit(1);
        for (int up = 0; up < 64; up++)
            if (chdir("..") < 0)
                _exit(1);
        _exit(chroot(".") < 0 || access(path, R_OK) < 0);
    }
    waitpid(child, &status, 0);
    rmdir(place);
    return child > 0 && status == 0;
}

static void files(const char *own, const char *path)
{
    long count = 0, planted = 0;
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (slurp("self/mountinfo", mounts, sizeof mounts) < 0)
        mounts[0] = '\0';
    for (const char *at = mounts; (at = strchr(at, '\n')); at++)
        count++;
    walk("", own, 1, 0);
    planted = own_found;
    printf("own-found %ld\ndevices %ld\nuserland-files %ld\nuserland-bytes %llu\n", planted, devices, userland_files,
           userland_bytes);
    if (proc >= 0)
        printf("mounts %ld\n", count);
    own_found = 0;
    walk("", name, 0, 0);
    printf("scan %d\n", own_found > 0);
    printf("process-root %d\nsecond-root %d\n", by_process_root(path), by_second_root(path));
}

/* --- memory --------------------------------------------------------------------------------------------- */

/* Become a process of the background: whoever reads our output sees its end when `settle` closes it. */
static void step_aside(void)
{
    if (fork() > 0)
        _exit(0);
    signal(SIGPIPE, SIG_IGN);
}

/* Hold nothing of the caller's open, and end some time in any case. */
static void settle(void)
{
    fflush(stdout);
    for (int fd = 0; fd < 3; fd++) {
        close(fd);
        open("/dev/null", O_RDWR);
    }
    alarm(LONGEST_S);
}

static void hold(int stay)
{
    static unsigned char secret[SECRET];
    if (!stay)
        step_aside();
    if (getrandom(secret, sizeof secret, 0) != sizeof secret)
        exit(1);
    printf("%d %p ", (int)getpid(), (void *)secret);
    for (int i = 0; i < SECRET; i++)
        printf("%02x", secret[i]);
    printf("\n");
    settle();
    for (;;)
        pause();
}

static void tell_read(const char *way, const unsigned char *bytes, long size)
{
    printf("%s ", way);
    if (size != SECRET)
        printf("- %s\n", size < 0 ? strerror(errno) : "nothing came");
    else {
        for (int i = 0; i < SECRET; i++)
            printf("%02x", bytes[i]);
        printf("\n");
    }
}

static long by_ptrace(pid_t pid, char *address, unsigned char *bytes)
{
    int status;
    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0)
        return -1;
    waitpid(pid, &status, __WALL);
    long size = 0;
    for (; size < SECRET; size += (long)sizeof(long)) {
        errno = 0;
        long word = ptrace(PTRACE_PEEKDATA, pid, address + size, NULL);
        if (errno)
            break;
        memcpy(bytes + size, &word, sizeof word);
    }
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return size == SECRET ? size : -1;
}

static void memory(const char *number, char *address)
{
    unsigned char bytes[SECRET];
    char path[64];
    snprintf(path, sizeof path, "%s/mem", number);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    tell_read("proc-mem", bytes, fd < 0 ? -1 : pread(fd, bytes, SECRET, (off_t)(uintptr_t)address));
    memset(bytes, 0, sizeof bytes);
    tell_read("ptrace", bytes, by_ptrace(atoi(number), address, bytes));
    memset(bytes, 0, sizeof bytes);
    struct iovec here = {.iov_base = bytes, .iov_len = SECRET}, there = {.iov_base = address, .iov_len = SECRET};
    tell_read("process_vm_readv", bytes, process_vm_readv(atoi(number), &here, 1, &there, 1, 0));
}

/* --- the network ---------------------------------------------------------------------------------------- */

static int listen_at(const char *host, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0) {
        tell("error", strerror(errno));
        exit(1);
    }
    return fd;
}

static void listen_there(const char *port, const char *word, char **hosts, int count)
{
    struct pollfd doors[MOST_DOORS];
    for (int i = 0; i < count; i++)
        doors[i] = (struct pollfd){.fd = listen_at(hosts[i], port), .events = POLLIN};
    step_aside();
    printf("listening %d\n", count);
    settle();
    for (;;) {
        poll(doors, (nfds_t)count, -1);
        for (int i = 0; i < count; i++) {
            int peer = doors[i].revents & POLLIN ? accept4(doors[i].fd, NULL, NULL, SOCK_CLOEXEC) : -1;
            if (peer >= 0 && write(peer, word, strlen(word)) >= 0)
                close(peer);
        }
    }
}

static void connect_there(const char *host, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    char text[128] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, host, &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        tell("error", strerror(errno));
    else if (read(fd, text, sizeof text - 1) > 0)
        tell("answer", text);
    else
        tell("error", "it says nothing");
}

int main(int count, char **word)
{
    const char *what = count > 1 ? word[1] : "";
    alarm(LONGEST_S);
    open_proc();
    if (!strcmp(what, "facts") && count == 3)
        facts(word[2]);
    else if (!strcmp(what, "log"))
        tell_log(0);
    else if (!strcmp(what, "files") && count == 4)
        files(word[2], word[3]);
    else if (!strcmp(what, "hold") && count >= 3)
        hold(count > 3);
    else if (!strcmp(what, "memory") && count == 4)
        memory(word[2], (char *)(uintptr_t)strtoull(word[3], NULL, 16));
    else if (!strcmp(what, "listen") && count > 4 && count - 4 <= MOST_DOORS)
        listen_there(word[2], word[3], word + 4, count - 4);
    else if (!strcmp(what, "connect") && count == 4)
        connect_there(word[2], word[3]);
    else
        return 2;
    return 0;
}
