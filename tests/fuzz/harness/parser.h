/* The C that Cython made of _parser.pyx, given as GENERATED, and what the harnesses share.
 *
 * An input begins with CONTROLS bytes: leniency, limits, and the lengths of the pieces in which the rest arrives, over
 * and over. Whatever has not arrived is poisoned, so that AddressSanitizer sees the first byte read too far.
 *
 * Nothing of Python is linked: what the parser would use of it would be an undefined reference.
 */

#include GENERATED

#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>

#define PARSER(name) __pyx_f_8fastwsgi_7_parser_##name
#define SAYS(name) __pyx_e_8fastwsgi_7_parser_##name
typedef struct __pyx_t_8fastwsgi_7_parser_Limits limits_t;
typedef struct __pyx_t_8fastwsgi_7_parser_Span span_t;
typedef struct __pyx_t_8fastwsgi_7_parser_Field field_t;
typedef struct __pyx_t_8fastwsgi_7_parser_RequestHead head_t;
typedef struct __pyx_t_8fastwsgi_7_parser_ChunkDecoder decoder_t;

#define REQUIRE(condition)                                                                                            \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                                   \
            abort();                                                                                                  \
        }                                                                                                             \
    } while (0)

enum {
    CONTROLS = 8,
    STEPS = CONTROLS - 2,
    PIECES = 64, /* after so many, all that is left arrives at once */
    FIELDS = 100, /* the most of any limits */
};

/* Those that are the default, and such as any input meets. */
static const limits_t LIMITS[] = {
    {4094, 8190, FIELDS, 65536, 0},
    {64, 64, 8, 256, 0},
    {20, 30, 2, 96, 0},
    {1, 1, 1, 1, 0},
};

/* How much of an input is there. */
typedef struct {
    const uint8_t *steps;
    const char *data;
    size_t size, there;
    unsigned pieces;
} arrival_t;

static unsigned long long parses;

static limits_t limits_of(const uint8_t *controls)
{
    limits_t limits = LIMITS[controls[1] % (sizeof LIMITS / sizeof *LIMITS)];
    limits.leniency = controls[0] & 31;
    return limits;
}

/* The next piece has arrived. */
static void arrive(arrival_t *arrival)
{
    size_t rest = arrival->size - arrival->there, step = arrival->steps[arrival->pieces % STEPS];
    ASAN_UNPOISON_MEMORY_REGION(arrival->data + arrival->there, rest);
    arrival->there += step == 0 || step > rest || arrival->pieces == PIECES ? rest : step;
    arrival->pieces++;
    ASAN_POISON_MEMORY_REGION(arrival->data + arrival->there, arrival->size - arrival->there);
}

static void end_arrival(const arrival_t *arrival)
{
    ASAN_UNPOISON_MEMORY_REGION(arrival->data + arrival->there, arrival->size - arrival->there);
}

static void tell_parses(void)
{
    fprintf(stderr, "stat::parses: %llu\n", parses);
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    PARSER(fill_classes)();
    atexit(tell_parses);
    return 0;
}
