/* The agent: the same small static program in every subject.
 *
 * It marks the first userland instruction (INIT), starts the application, marks the instant at which the
 * application answers (READY), and then serves the host: PING (ask the application again, say READY),
 * RUN (a shell command), PARK (hang up until the host listens anew). Marks go to a UNIX socket (containers,
 * processes) or to a serial port (guests), whose other end is one socket of the host. The host's clock alone is
 * read, and only on the host.
 *
 *   agent --channel unix:PATH|tty:DEVICE --nonce WORD|dmi [--root DIR] [--guest [--disk DEVICE]] [--first]
 *         [--no-init] [--lo] [--log FILE] [--ready http:PORT/PATH|self] --exec COMMAND [ARGUMENT...]
 *
 * --root    enter this directory first (the subject "process")
 * --guest   be PID 1 of a guest: make device nodes, load modules, mount the disk and enter it; power off at the end
 * --first   mark INIT and become the command: the first stage of a distribution's own start
 * --no-init do not mark INIT: the first stage did
 * --lo      bring the loopback interface up (a new network namespace has it down)
 * --log     what it and the application say goes to this file, which can be saved with them: it is opened inside
 * --exec    ends the options; "--" would do, but the kernel eats it from its command line
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS 250000L        /* the pause before an application that does not answer yet is asked again: 0.25 ms */
#define OUTPUT_LIMIT (4 << 20) /* a command's output beyond this is cut */

static const char *channel_name, *root, *ready = "self", *disk, *log_name;
static char nonce[64];
static int guest, first, no_init, bring_lo_up;
static int channel = -1;
static pid_t app;

static void die(const char *what)
{
    fprintf(stderr, "agent: %s: %s\n", what, strerror(errno));
    if (guest) {
        sync();
        reboot(RB_POWER_OFF);
    }
    _exit(125);
}

/* Write all of it: a serial port and a slow reader take less than asked for. */
static void put(const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t done = write(channel, at, size);
        if (done < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        at += done;
        size -= (size_t)done;
    }
}

static void say(const char *format, ...)
{
    char line[256];
    va_list words;
    va_start(words, format);
    int size = vsnprintf(line, sizeof line, format, words);
    va_end(words);
    put(line, (size_t)size);
}

/* --- the way to the host ------------------------------------------------------------------------------- */

/* The first userland instruction of a guest finds no device node: make our own. 4:64+n is ttySn
 * (Documentation/admin-guide/devices.txt). */
static int open_tty(const char *device)
{
    const char *path = device;
    if (guest || first) {
        size_t last = strlen(device) - 1;
        path = "/.bench-tty";
        unlink(path);
        if (mknod(path, S_IFCHR | 0600, makedev(4, 64 + (unsigned)(device[last] - '0'))) < 0)
            path = device;
    }
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        die(device);
    struct termios mode;
    if (tcgetattr(fd, &mode) == 0) {
        cfmakeraw(&mode);
        mode.c_cflag |= CLOCAL | CREAD;
        cfsetspeed(&mode, B115200);
        tcsetattr(fd, TCSANOW, &mode);
    }
    if (guest || first)
        unlink("/.bench-tty");
    return fd;
}

/* Return the connected socket, -1 where nobody listens. */
static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void open_channel(void)
{
    if (strncmp(channel_name, "unix:", 5) == 0)
        channel = open_socket(channel_name + 5);
    else if (strncmp(channel_name, "tty:", 4) == 0)
        channel = open_tty(channel_name + 4);
    else {
        errno = EINVAL;
        die(channel_name);
    }
    if (channel < 0)
        die(channel_name);
}

static void open_log(void)
{
    int fd = open(log_name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        die(log_name);
    dup2(fd, 1);
    dup2(fd, 2);
    close(fd);
}

/* A guest that boots from its own disk learns its nonce from an SMBIOS OEM string (type 11, DMTF DSP0134):
 * the tables hold it as plain text. */
static void nonce_from_dmi(void)
{
    static char table[65536];
    static const char key[] = "bench.nonce=";
    const char *path = "/sys/firmware/dmi/tables/DMI";
    if (access(path, R_OK) != 0) {
        mkdir("/.bench-sys", 0700);
        if (mount("sysfs", "/.bench-sys", "sysfs", MS_RDONLY, NULL) == 0)
            path = "/.bench-sys/firmware/dmi/tables/DMI";
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, table, sizeof table - 1);
    if (size < 0)
        die(path);
    close(fd);
    umount2("/.bench-sys", MNT_DETACH);
    rmdir("/.bench-sys");
    const char *found = memmem(table, (size_t)size, key, sizeof key - 1);
    if (!found) {
        errno = ENOENT;
        die("no bench.nonce in the SMBIOS tables");
    }
    snprintf(nonce, sizeof nonce, "%s", found + sizeof key - 1);
}

/* --- being PID 1 of a guest ----------------------------------------------------------------------------- */

static void load_modules(void)
{
    FILE *list = fopen("/bench/modules", "re");
    char line[256];
    if (!list)
        return;
    while (fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = '\0';
        int fd = open(line, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
            fprintf(stderr, "agent: module %s: %s\n", line, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    fclose(list);
}

static void enter_disk(void)
{
    mkdir("/disk", 0755);
    /* The driver probes in the background after its module is loaded: the device may be a moment late. */
    for (int tries = 0; mount(disk, "/disk", "ext4", MS_NOATIME, NULL) < 0; tries++) {
        if ((errno != ENOENT && errno != ENXIO) || tries > 5000)
            die(disk);
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    if (mount("/dev", "/disk/dev", NULL, MS_MOVE, NULL) < 0 || chdir("/disk") < 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        die("entering the disk");
}

static void be_guest(void)
{
    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL);
    int console = open("/dev/console", O_RDWR | O_NOCTTY);
    if (console >= 0) {
        dup2(console, 0);
        dup2(console, 1);
        dup2(console, 2);
        if (console > 2)
            close(console);
    }
    load_modules();
    if (disk)
        enter_disk();
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mkdir("/run", 0755);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
    setenv("HOME", "/root", 0);
}

/* An ordinary user may change the root in a user namespace of its own (user_namespaces(7)). */
static void enter_root(void)
{
    if (chroot(root) < 0 && (errno != EPERM || unshare(CLONE_NEWUSER) < 0 || chroot(root) < 0))
        die(root);
    if (chdir("/") < 0)
        die(root);
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && !(request.ifr_flags & IFF_UP)) {
        request.ifr_flags |= IFF_UP;
        ioctl(fd, SIOCSIFFLAGS, &request);
    }
    if (fd >= 0)
        close(fd);
}

/* --- the application ------------------------------------------------------------------------------------ */

static void start_app(char **command, const sigset_t *mask)
{
    app = fork();
    if (app < 0)
        die("fork");
    if (app == 0) {
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(command[0], command);
        fprintf(stderr, "agent: %s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
}

/* Ask once: true when the status line says 200. */
static int app_answers(void)
{
    if (strncmp(ready, "http:", 5) != 0)
        return 1;
    char *path;
    unsigned long port = strtoul(ready + 5, &path, 10);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), answered = 0;
    struct timeval patience = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        char text[512];
        int size = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", *path ? path : "/");
        if (write(fd, text, (size_t)size) == size) {
            ssize_t got = 0, more;
            while (got < 12 && (more = read(fd, text + got, sizeof text - 1 - (size_t)got)) > 0)
                got += more;
            answered = got >= 12 && memcmp(text, "HTTP/1.", 7) == 0 && memcmp(text + 8, " 200", 4) == 0;
        }
    }
    if (fd >= 0)
        close(fd);
    return answered;
}

static void leave(int code)
{
    if (guest) {
        sync();
        reboot(RB_POWER_OFF);
    }
    _exit(code);
}

/* Take in every child that ended; leave when it was the application. */
static void reap(void)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == app)
            leave(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* READY carries how long before it the application was last seen not to answer: what lies between was not
 * looked at. It is a duration of this clock, the only thing taken from it. */
static void wait_until_ready(void)
{
    long long asked = now_ns(), refused = asked;
    while (!app_answers()) {
        refused = asked;
        reap();
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        asked = now_ns();
    }
    say("READY %s %lld\n", nonce, now_ns() - refused);
}

/* --- serving the host ----------------------------------------------------------------------------------- */

static void run(const char *name, const char *command)
{
    static char output[OUTPUT_LIMIT];
    int pipe_ends[2], status = 0;
    if (pipe2(pipe_ends, O_CLOEXEC) < 0)
        die("pipe");
    pid_t child = fork();
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(open("/dev/null", O_RDONLY), 0);
        dup2(pipe_ends[1], 1);
        dup2(pipe_ends[1], 2);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(pipe_ends[1]);
    size_t size = 0;
    ssize_t more;
    while ((more = read(pipe_ends[0], output + size, sizeof output - size)) > 0)
        if ((size += (size_t)more) == sizeof output)
            break;
    close(pipe_ends[0]);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        status = 126 << 8;
    say("DONE %s %d %zu\n", name, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), size);
    put(output, size);
}

/* Hang up, and connect again when another socket is there. A program with a connection to the outside cannot be saved
 * (CRIU refuses it); in this loop it can be, and where it is restored it finds who restored it. The host takes the end
 * of the connection for the answer. */
static void park(void)
{
    const char *path = channel_name + 5;
    struct stat before, now;
    if (strncmp(channel_name, "unix:", 5) != 0 || stat(path, &before) < 0)
        return;
    close(channel);
    do {
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        int same = stat(path, &now) < 0 ||
            (now.st_ino == before.st_ino && memcmp(&now.st_ctim, &before.st_ctim, sizeof now.st_ctim) == 0);
        channel = same ? -1 : open_socket(path);
    } while (channel < 0);
}

static void obey(char *line)
{
    char *word = strtok(line, " \r\n");
    if (!word)
        return;
    if (strcmp(word, "PING") == 0 && (word = strtok(NULL, " \r\n"))) {
        snprintf(nonce, sizeof nonce, "%s", word);
        wait_until_ready();
    } else if (strcmp(word, "RUN") == 0) {
        char *name = strtok(NULL, " \r\n"), *command = strtok(NULL, "\n");
        if (name && command)
            run(name, command);
    } else if (strcmp(word, "PARK") == 0)
        park();
}

static void serve(int signals)
{
    static char buffer[65536];
    size_t held = 0;
    struct pollfd watched[2] = {{.fd = channel, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (;;) {
        if (poll(watched, 2, -1) < 0 && errno != EINTR)
            die("poll");
        if (watched[1].revents & POLLIN) {
            struct signalfd_siginfo info;
            if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGTERM) {
                kill(app, SIGTERM);
            }
            reap();
        }
        if (!(watched[0].revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        ssize_t more = read(channel, buffer + held, sizeof buffer - 1 - held);
        if (more <= 0) {
            /* A host that hung up needs no answers; a guest's serial port may be connected again. */
            if (strncmp(channel_name, "tty:", 4) != 0)
                watched[0].fd = -1;
            else
                nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
            continue;
        }
        held += (size_t)more;
        buffer[held] = '\0';
        char *end;
        while ((end = strchr(buffer, '\n'))) {
            size_t used = (size_t)(end + 1 - buffer);
            *end = '\0';
            obey(buffer);
            memmove(buffer, buffer + used, held + 1 - used);
            held -= used;
        }
        watched[0].fd = channel;
        if (held == sizeof buffer - 1)
            held = 0;
    }
}

static char **parse(char **word)
{
    for (word++; *word; word++) {
        if (strcmp(*word, "--exec") == 0)
            return word + 1;
        else if (strcmp(*word, "--guest") == 0)
            guest = 1;
        else if (strcmp(*word, "--first") == 0)
            first = 1;
        else if (strcmp(*word, "--no-init") == 0)
            no_init = 1;
        else if (strcmp(*word, "--lo") == 0)
            bring_lo_up = 1;
        else if (strcmp(*word, "--channel") == 0 && word[1])
            channel_name = *++word;
        else if (strcmp(*word, "--nonce") == 0 && word[1])
            snprintf(nonce, sizeof nonce, "%s", *++word);
        else if (strcmp(*word, "--root") == 0 && word[1])
            root = *++word;
        else if (strcmp(*word, "--disk") == 0 && word[1])
            disk = *++word;
        else if (strcmp(*word, "--log") == 0 && word[1])
            log_name = *++word;
        else if (strcmp(*word, "--ready") == 0 && word[1])
            ready = *++word;
        else
            break;
    }
    fprintf(stderr, "agent: unexpected or incomplete: %s\n", *word ? *word : "no --exec COMMAND");
    _exit(125);
}

int main(int count, char **arguments)
{
    (void)count;
    char **command = parse(arguments);
    if (!channel_name || !*command) {
        fprintf(stderr, "agent: needs --channel and a command\n");
        return 125;
    }
    open_channel();
    if (root)
        enter_root();
    if (strcmp(nonce, "dmi") == 0)
        nonce_from_dmi();
    if (!no_init)
        say("INIT %s\n", nonce);
    if (first) {
        close(channel);
        execv(command[0], command);
        die(command[0]);
    }
    if (guest)
        be_guest();
    if (guest || bring_lo_up)
        loopback_up();
    if (log_name)
        open_log();
    sigset_t watched, before;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigprocmask(SIG_BLOCK, &watched, &before);
    int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
    /* What loses its parent becomes a child of the agent, also where the agent is not PID 1: it stays in the tree that
     * is measured and ended. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    start_app(command, &before);
    wait_until_ready();
    serve(signals);
}
