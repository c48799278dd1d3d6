/* A node of libei that is measured: C, one thread, blocking sockets. The commands are those of bench/README.md. libei has no
 * processes and no mailbox, so a message counts as received when ei_receive_msg has it, and there is one sender. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ei.h"
#include "ei_connect.h"

static ei_cnode node;
static int listener;

static void fail(const char *what) {
    fprintf(stderr, "libei: %s (erl_errno %d)\n", what, erl_errno);
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The value of one field of a command. */
static const char *field(const char *line, const char *key) {
    static char value[300];
    char wanted[40];
    const char *at;
    snprintf(wanted, sizeof wanted, " %s=", key);
    at = strstr(line, wanted);
    if (!at || sscanf(at + strlen(wanted), "%299s", value) != 1) fail("a field is missing");
    return value;
}

static long number(const char *line, const char *key) { return atol(field(line, key)); }

/* The other side may not have seen yet that the connection before has ended, and refuse. How long the attempt that succeeded took. */
static int dial(const char *to, uint64_t *took) {
    char name[300];
    int attempt;
    snprintf(name, sizeof name, "%s", to);
    for (attempt = 0; attempt < 1000; attempt++) {
        uint64_t begun = now();
        int fd = ei_connect(&node, name);
        if (took) *took = now() - begun;
        if (fd >= 0) return fd;
        usleep(5000);
    }
    fail("ei_connect");
    return -1;
}

static int taken(void) {
    ErlConnect peer;
    int fd = ei_accept(&node, listener, &peer);
    if (fd < 0) fail("ei_accept");
    return fd;
}

/* The next message into x, with its index behind tag and arity; 0 when the connection has ended. */
static int receive(int fd, ei_x_buff *x, int *index, int *arity, char *tag) {
    erlang_msg message;
    int got, version;
    do {
        x->index = 0;
        got = ei_xreceive_msg(fd, &message, x);
    } while (got == ERL_TICK);
    if (got != ERL_MSG) return 0;
    *index = 0;
    if (ei_decode_version(x->buff, index, &version) || ei_decode_tuple_header(x->buff, index, arity) ||
        ei_decode_atom(x->buff, index, tag))
        fail("a message is no tagged tuple");
    return 1;
}

static void begin(ei_x_buff *x, int arity, const char *tag) {
    x->index = 0;
    if (ei_x_encode_version(x) || ei_x_encode_tuple_header(x, arity) || ei_x_encode_atom(x, tag)) fail("encode");
}

static void send_to(int fd, erlang_pid *to, ei_x_buff *x) {
    if (ei_send(fd, to, x->buff, x->index)) fail("ei_send");
}

/* {hello, Pid} and {welcome, Pid}. */
static void welcome(int fd, ei_x_buff *in, int index, ei_x_buff *out) {
    erlang_pid from;
    if (ei_decode_pid(in->buff, &index, &from)) fail("no pid");
    begin(out, 2, "welcome");
    ei_x_encode_pid(out, ei_self(&node));
    send_to(fd, &from, out);
}

static erlang_pid meet(int fd, const char *name, ei_x_buff *x) {
    char tag[MAXATOMLEN], to[MAXATOMLEN];
    int index, arity;
    erlang_pid pid;
    snprintf(to, sizeof to, "%s", name);
    begin(x, 2, "hello");
    ei_x_encode_pid(x, ei_self(&node));
    if (ei_reg_send(&node, fd, to, x->buff, x->index)) fail("ei_reg_send");
    if (!receive(fd, x, &index, &arity, tag) || strcmp(tag, "welcome") || ei_decode_pid(x->buff, &index, &pid))
        fail("no welcome");
    return pid;
}

static void take(const char *line) {
    long left = number(line, "count"), size = number(line, "size"), length, last = 0;
    unsigned long sender, seq, sum = 0;
    char tag[MAXATOMLEN];
    ei_x_buff in, out;
    int index, arity, type, bytes, fd;
    uint64_t begun = 0;
    if (number(line, "senders") != 1) fail("there is one sender");
    ei_x_new(&in);
    ei_x_new(&out);
    puts("@ taking");
    fd = taken();
    while (left > 0) {
        if (!receive(fd, &in, &index, &arity, tag)) fail("the connection ends");
        if (!strcmp(tag, "hello")) {
            welcome(fd, &in, index, &out);
            continue;
        }
        if (!begun) begun = now();
        if (strcmp(tag, "msg") || ei_decode_ulong(in.buff, &index, &sender) || ei_decode_ulong(in.buff, &index, &seq))
            fail("no message");
        if (sender != 1 || (long)seq != last + 1) fail("the order is broken");
        if (size) {
            char *binary = malloc(size);
            if (ei_get_type(in.buff, &index, &type, &bytes) || bytes != size ||
                ei_decode_binary(in.buff, &index, binary, &length))
                fail("no binary");
            free(binary);
        }
        last = (long)seq;
        sum += seq;
        left--;
    }
    printf("@ took ns=%llu sum=%lu\n", (unsigned long long)(now() - begun), sum);
    close(fd);
    ei_x_free(&in);
    ei_x_free(&out);
}

static void send_all(const char *line) {
    long count = number(line, "count"), size = number(line, "size"), seq;
    ei_x_buff x;
    char *binary = malloc(size + 1);
    int fd = dial(field(line, "to"), NULL);
    erlang_pid sink;
    if (number(line, "senders") != 1) fail("there is one sender");
    memset(binary, 7, size + 1);
    ei_x_new(&x);
    sink = meet(fd, "sink", &x);
    for (seq = 1; seq <= count; seq++) {
        begin(&x, size ? 4 : 3, "msg");
        ei_x_encode_ulong(&x, 1);
        ei_x_encode_ulong(&x, (unsigned long)seq);
        if (size) ei_x_encode_binary(&x, binary, (int)size);
        send_to(fd, &sink, &x);
    }
    puts("@ sent");
    close(fd);
    free(binary);
    ei_x_free(&x);
}

/* What the other side can send: frames are told apart and their numbers read, nothing else. */
static void drain(const char *line) {
    enum { ROOM = 1 << 20 };
    long left = number(line, "count");
    unsigned char *room = malloc(ROOM);
    size_t filled = 0;
    unsigned long sum = 0;
    uint64_t begun = 0;
    char tag[MAXATOMLEN];
    int index, arity, fd;
    ei_x_buff in, out;
    ei_x_new(&in);
    ei_x_new(&out);
    puts("@ taking");
    fd = taken();
    if (!receive(fd, &in, &index, &arity, tag)) fail("no hello");
    welcome(fd, &in, index, &out);
    while (left > 0) {
        size_t at = 0;
        ssize_t got = read(fd, room + filled, ROOM - filled);
        if (got <= 0) fail("the connection ends");
        filled += (size_t)got;
        while (filled - at >= 4) {
            uint32_t length;
            const unsigned char *end;
            memcpy(&length, room + at, 4);
            length = ntohl(length);
            if (filled - at - 4 < length) break;
            at += 4 + length;
            if (length < 8) continue;
            if (!begun) begun = now();
            end = room + at;
            /* SMALL_INTEGER_EXT or INTEGER_EXT; a small one's last bytes cannot look like the other. */
            sum += end[-2] == 97 && end[-5] != 98 ? end[-1]
                                                  : (unsigned long)end[-4] << 24 | end[-3] << 16 | end[-2] << 8 | end[-1];
            left--;
        }
        memmove(room, room + at, filled - at);
        filled -= at;
    }
    printf("@ took ns=%llu sum=%lu\n", (unsigned long long)(now() - begun), sum);
    close(fd);
    free(room);
    ei_x_free(&in);
    ei_x_free(&out);
}

/* As many connections as the command says, one after another; on each pings are answered until it ends. */
static void serve(const char *line) {
    long connections = number(line, "connections");
    char tag[MAXATOMLEN];
    ei_x_buff in, out;
    int index, arity, fd;
    unsigned long seq;
    erlang_pid from;
    ei_x_new(&in);
    ei_x_new(&out);
    puts("@ serving");
    while (connections-- > 0) {
        fd = taken();
        while (receive(fd, &in, &index, &arity, tag)) {
            if (!strcmp(tag, "hello")) {
                welcome(fd, &in, index, &out);
                continue;
            }
            if (strcmp(tag, "ping") || ei_decode_pid(in.buff, &index, &from) ||
                ei_decode_ulong(in.buff, &index, &seq))
                fail("no ping");
            begin(&out, 2, "pong");
            ei_x_encode_ulong(&out, seq);
            send_to(fd, &from, &out);
        }
        close(fd);
    }
    ei_x_free(&in);
    ei_x_free(&out);
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void quantiles(const char *word, uint64_t *times, long count) {
    unsigned long long sum = 0;
    long i;
    for (i = 0; i < count; i++) sum += times[i];
    qsort(times, count, sizeof *times, by_size);
    printf("@ %s ns=%llu p50=%llu p99=%llu\n", word, sum, (unsigned long long)times[count / 2],
           (unsigned long long)times[count * 99 / 100]);
}

static void ping(const char *line) {
    long count = number(line, "count"), seq;
    uint64_t *times = calloc(count, sizeof *times);
    char tag[MAXATOMLEN];
    unsigned long back;
    int index, arity, fd = dial(field(line, "to"), NULL);
    ei_x_buff x;
    erlang_pid echo;
    ei_x_new(&x);
    echo = meet(fd, "echo", &x);
    for (seq = 1; seq <= count; seq++) {
        uint64_t begun = now();
        begin(&x, 3, "ping");
        ei_x_encode_pid(&x, ei_self(&node));
        ei_x_encode_ulong(&x, (unsigned long)seq);
        send_to(fd, &echo, &x);
        if (!receive(fd, &x, &index, &arity, tag)) fail("the connection ends");
        times[seq - 1] = now() - begun;
        if (strcmp(tag, "pong") || ei_decode_ulong(x.buff, &index, &back) || (long)back != seq) fail("no pong");
    }
    quantiles("pinged", times, count);
    close(fd);
    free(times);
    ei_x_free(&x);
}

static void connect_often(const char *line) {
    long count = number(line, "count"), i;
    uint64_t *times = calloc(count, sizeof *times);
    char to[300];
    snprintf(to, sizeof to, "%s", field(line, "to"));
    for (i = 0; i < count; i++) {
        close(dial(to, &times[i]));
        /* Until the other side has seen the end. */
        usleep(2000);
    }
    quantiles("connected", times, count);
    free(times);
}

/* NAME [raw]: with that, one-way messages are written and read as bytes. */
int main(int argc, char **argv) {
    char line[600], alive[200], *at;
    int port = 0;
    struct in_addr address;
    const char *cookie = getenv("BENCH_COOKIE");
    int raw = argc == 3 && !strcmp(argv[2], "raw");
    if (argc < 2 || !cookie || strlen(argv[1]) >= sizeof alive) fail("NAME [raw], and BENCH_COOKIE");
    strcpy(alive, argv[1]);
    at = strchr(alive, '@');
    if (!at) fail("a name with a host");
    *at = 0;
    address.s_addr = htonl(INADDR_LOOPBACK);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (ei_init()) fail("ei_init");
    if (ei_connect_xinit(&node, at + 1, alive, argv[1], &address, cookie, (short)getpid()) < 0) fail("ei_connect_xinit");
    if ((listener = ei_listen(&node, &port, 16)) < 0) fail("ei_listen");
    if (ei_publish(&node, port) < 0) fail("ei_publish");
    puts("@ ready");
    while (fgets(line, sizeof line, stdin)) {
        if (raw && !strncmp(line, "take ", 5)) drain(line);
        else if (!strncmp(line, "take ", 5)) take(line);
        else if (!strncmp(line, "send ", 5)) send_all(line);
        else if (!strncmp(line, "serve ", 6)) serve(line);
        else if (!strncmp(line, "ping ", 5)) ping(line);
        else if (!strncmp(line, "connect ", 8)) connect_often(line);
        else fail("an unknown command");
    }
    return 0;
}
