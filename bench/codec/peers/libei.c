/* libei on the files given: a line for each, `libei OPERATION FILE NANOSECONDS` for the whole term.
 *
 * walk:   reads every value (atoms and numbers copied out, binaries by pointer), builds nothing
 * skip:   ei_skip_term, which reads no value
 * encode: from an array of the values, into a buffer that is there and large enough */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ei.h>

enum kind { INTEGER, FLOAT, BIG, ATOM, BINARY, STRING, TUPLE, LIST, MAP, NIL, PID, REFERENCE };

struct value {
    enum kind kind;
    long length; /* of a container, a binary, a string, an atom */
    long long integer;
    double real;
    const char *bytes;
    char *text;
    erlang_big *big;
    erlang_pid *pid;
    erlang_ref *reference;
};

static volatile long long sink;

static void fail(const char *what)
{
    fprintf(stderr, "libei: %s\n", what);
    exit(1);
}

/* Every value once; how many there were. Its own stack is not needed: a container only adds to what is owed. */
static long walk(const char *buffer)
{
    static char text[70000];
    static erlang_big *big;
    int index = 0, version, type, size;
    long owed = 1, values = 0;
    long long sum = 0;
    if (!big) big = ei_alloc_big(1000);
    if (ei_decode_version(buffer, &index, &version)) fail("version");
    while (owed > 0) {
        owed--;
        values++;
        if (ei_get_type(buffer, &index, &type, &size)) fail("type");
        switch (type) {
        case ERL_SMALL_INTEGER_EXT:
        case ERL_INTEGER_EXT: {
            long value;
            if (ei_decode_long(buffer, &index, &value)) fail("integer");
            sum += value;
            break;
        }
        case ERL_SMALL_BIG_EXT:
        case ERL_LARGE_BIG_EXT: {
            long long value;
            if (size <= 8 && !ei_decode_longlong(buffer, &index, &value)) {
                sum += value;
                break;
            }
            big->arity = size;
            if (ei_decode_big(buffer, &index, big)) fail("big");
            sum += big->is_neg;
            break;
        }
        case ERL_FLOAT_EXT:
        case NEW_FLOAT_EXT: {
            double value;
            if (ei_decode_double(buffer, &index, &value)) fail("float");
            sum += value > 0;
            break;
        }
        case ERL_ATOM_EXT:
        case ERL_SMALL_ATOM_EXT:
        case ERL_ATOM_UTF8_EXT:
        case ERL_SMALL_ATOM_UTF8_EXT:
            if (ei_decode_atom_as(buffer, &index, text, MAXATOMLEN_UTF8, ERLANG_UTF8, NULL, NULL)) fail("atom");
            sum += text[0];
            break;
        case ERL_BINARY_EXT: {
            const char *bytes;
            unsigned int offset;
            size_t bits;
            if (ei_decode_bitstring(buffer, &index, &bytes, &offset, &bits)) fail("binary");
            sum += (long long)bits;
            break;
        }
        case ERL_STRING_EXT:
            if (ei_decode_string(buffer, &index, text)) fail("string");
            sum += text[0];
            break;
        case ERL_SMALL_TUPLE_EXT:
        case ERL_LARGE_TUPLE_EXT: {
            int arity;
            if (ei_decode_tuple_header(buffer, &index, &arity)) fail("tuple");
            owed += arity;
            break;
        }
        case ERL_LIST_EXT:
        case ERL_NIL_EXT: {
            int arity;
            if (ei_decode_list_header(buffer, &index, &arity)) fail("list");
            if (arity > 0) owed += arity + 1;
            break;
        }
        case ERL_MAP_EXT: {
            int arity;
            if (ei_decode_map_header(buffer, &index, &arity)) fail("map");
            owed += 2 * arity;
            break;
        }
        case ERL_NEW_PID_EXT:
        case ERL_PID_EXT: {
            erlang_pid pid;
            if (ei_decode_pid(buffer, &index, &pid)) fail("pid");
            sum += pid.num;
            break;
        }
        case ERL_NEW_REFERENCE_EXT:
        case ERL_NEWER_REFERENCE_EXT: {
            erlang_ref reference;
            if (ei_decode_ref(buffer, &index, &reference)) fail("reference");
            sum += reference.n[0];
            break;
        }
        default:
            fail("unexpected type");
        }
    }
    sink += sum;
    return values;
}

static void skip(const char *buffer)
{
    int index = 0, version;
    if (ei_decode_version(buffer, &index, &version) || ei_skip_term(buffer, &index)) fail("skip");
    sink += index;
}

/* The same terms as an array of values, before any time is taken. */
static long collect(const char *buffer, struct value *values)
{
    int index = 0, version, type, size;
    long owed = 1, count = 0;
    ei_decode_version(buffer, &index, &version);
    while (owed > 0) {
        struct value *value = &values[count++];
        owed--;
        memset(value, 0, sizeof *value);
        ei_get_type(buffer, &index, &type, &size);
        switch (type) {
        case ERL_SMALL_INTEGER_EXT:
        case ERL_INTEGER_EXT:
        case ERL_SMALL_BIG_EXT:
            value->kind = INTEGER;
            if (!ei_decode_longlong(buffer, &index, &value->integer)) break;
            value->kind = BIG;
            value->big = ei_alloc_big(size);
            if (ei_decode_big(buffer, &index, value->big)) fail("big");
            break;
        case ERL_FLOAT_EXT:
        case NEW_FLOAT_EXT:
            value->kind = FLOAT;
            ei_decode_double(buffer, &index, &value->real);
            break;
        case ERL_ATOM_EXT:
        case ERL_SMALL_ATOM_EXT:
        case ERL_ATOM_UTF8_EXT:
        case ERL_SMALL_ATOM_UTF8_EXT:
            value->kind = ATOM;
            value->text = malloc(MAXATOMLEN_UTF8);
            ei_decode_atom_as(buffer, &index, value->text, MAXATOMLEN_UTF8, ERLANG_UTF8, NULL, NULL);
            value->length = (long)strlen(value->text);
            break;
        case ERL_BINARY_EXT: {
            unsigned int offset;
            size_t bits;
            value->kind = BINARY;
            ei_decode_bitstring(buffer, &index, &value->bytes, &offset, &bits);
            value->length = (long)(bits / 8);
            break;
        }
        case ERL_STRING_EXT:
            value->kind = STRING;
            value->text = malloc(size + 1);
            ei_decode_string(buffer, &index, value->text);
            value->length = size;
            break;
        case ERL_SMALL_TUPLE_EXT:
        case ERL_LARGE_TUPLE_EXT:
            value->kind = TUPLE;
            ei_decode_tuple_header(buffer, &index, &size);
            value->length = size;
            owed += size;
            break;
        case ERL_LIST_EXT:
        case ERL_NIL_EXT:
            ei_decode_list_header(buffer, &index, &size);
            value->kind = size ? LIST : NIL;
            value->length = size;
            if (size) owed += size + 1;
            break;
        case ERL_MAP_EXT:
            value->kind = MAP;
            ei_decode_map_header(buffer, &index, &size);
            value->length = size;
            owed += 2 * size;
            break;
        case ERL_NEW_PID_EXT:
        case ERL_PID_EXT:
            value->kind = PID;
            value->pid = malloc(sizeof *value->pid);
            ei_decode_pid(buffer, &index, value->pid);
            break;
        case ERL_NEW_REFERENCE_EXT:
        case ERL_NEWER_REFERENCE_EXT:
            value->kind = REFERENCE;
            value->reference = malloc(sizeof *value->reference);
            ei_decode_ref(buffer, &index, value->reference);
            break;
        default:
            fail("unexpected type");
        }
    }
    return count;
}

static void encode(char *buffer, const struct value *values, long count)
{
    int index = 0;
    long i;
    ei_encode_version(buffer, &index);
    for (i = 0; i < count; i++) {
        const struct value *value = &values[i];
        switch (value->kind) {
        case INTEGER: ei_encode_longlong(buffer, &index, value->integer); break;
        case FLOAT: ei_encode_double(buffer, &index, value->real); break;
        case BIG: ei_encode_big(buffer, &index, value->big); break;
        case ATOM:
            ei_encode_atom_len_as(buffer, &index, value->text, (int)value->length, ERLANG_UTF8, ERLANG_UTF8);
            break;
        case BINARY: ei_encode_binary(buffer, &index, value->bytes, value->length); break;
        case STRING: ei_encode_string_len(buffer, &index, value->text, (int)value->length); break;
        case TUPLE: ei_encode_tuple_header(buffer, &index, (int)value->length); break;
        case LIST: ei_encode_list_header(buffer, &index, (int)value->length); break;
        case MAP: ei_encode_map_header(buffer, &index, (int)value->length); break;
        case NIL: ei_encode_empty_list(buffer, &index); break;
        case PID: ei_encode_pid(buffer, &index, value->pid); break;
        case REFERENCE: ei_encode_ref(buffer, &index, value->reference); break;
        }
    }
    sink += index;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

struct data {
    const char *bytes;
    char *buffer;
    struct value *values;
    long count;
};

static void work(const char *operation, const struct data *data)
{
    switch (operation[0]) {
    case 'w': walk(data->bytes); break;
    case 's': skip(data->bytes); break;
    default: encode(data->buffer, data->values, data->count);
    }
}

/* The best of 30 samples of about 2 ms: whatever else the machine does makes them longer, never shorter. */
static void say(const char *operation, const char *file, const struct data *data)
{
    double begun = now(), best = 1e18;
    long times = 0, i, j;
    while (now() - begun < 2e6) {
        work(operation, data);
        times++;
    }
    for (i = 0; i < 30; i++) {
        double sample;
        begun = now();
        for (j = 0; j < times; j++) work(operation, data);
        sample = (now() - begun) / (double)times;
        if (sample < best) best = sample;
    }
    printf("libei %s %s %.2f\n", operation, file, best);
}

int main(int argc, char **argv)
{
    int i;
    ei_init();
    for (i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        struct data data;
        char *bytes;
        long length;
        if (!file) fail("no file");
        fseek(file, 0, SEEK_END);
        length = ftell(file);
        rewind(file);
        bytes = malloc(length);
        if (fread(bytes, 1, length, file) != (size_t)length) fail("read");
        fclose(file);
        data.bytes = bytes;
        data.buffer = malloc(length * 4 + 1024);
        data.values = malloc(walk(bytes) * sizeof *data.values);
        data.count = collect(bytes, data.values);
        say("walk", argv[i], &data);
        say("skip", argv[i], &data);
        say("encode", argv[i], &data);
        fflush(stdout);
    }
    return 0;
}
