/* Parses the heads of a file one after another, again and again: `parser FILE ROUNDS TIMES`.
 *
 * Prints a line for each round: nanoseconds of the processor and bytes. GENERATED is the C that Cython made of _parser.pyx, the same
 * that the extension is compiled from; nothing of Python is linked.
 */

#include GENERATED

#include <stdio.h>
#include <time.h>

#define PARSER(name) __pyx_f_8fastwsgi_7_parser_##name
#define DONE __pyx_e_8fastwsgi_7_parser_DONE
typedef struct __pyx_t_8fastwsgi_7_parser_RequestHead head_t;

enum { FIELDS = 100, HEADS = 1024 };

static char data[1 << 20];
static size_t starts[HEADS + 1];

static unsigned long long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec;
}

/* The bytes of the head at the beginning, 0 where none is complete and well-formed. */
static size_t parse(const char *bytes, size_t size)
{
    static const struct __pyx_t_8fastwsgi_7_parser_Limits limits = {4094, 8190, FIELDS, 65536, 0};
    static struct __pyx_t_8fastwsgi_7_parser_Field fields[FIELDS];
    head_t head = {.fields = fields};
    PARSER(reset_head)(&head);
    return PARSER(parse_head)(bytes, size, &limits, &head) == DONE ? head.length : 0;
}

int main(int count, char **words)
{
    size_t size = 0, heads = 0, wrong = 0;
    FILE *file = count == 4 ? fopen(words[1], "rb") : NULL;
    if (file == NULL)
        return 2;
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    PARSER(fill_classes)();
    for (size_t length; starts[heads] < size && heads < HEADS; heads++) {
        length = parse(data + starts[heads], size - starts[heads]);
        if (length == 0)
            return 3;
        starts[heads + 1] = starts[heads] + length;
    }
    size_t times = strtoul(words[3], NULL, 10);
    for (unsigned long round = strtoul(words[2], NULL, 10); round > 0; round--) {
        unsigned long long begin = nanoseconds();
        for (size_t time = 0; time < times; time++)
            for (size_t i = 0; i < heads; i++)
                wrong += parse(data + starts[i], starts[i + 1] - starts[i]) != starts[i + 1] - starts[i];
        printf("%llu %zu\n", nanoseconds() - begin, times * starts[heads]);
    }
    return wrong ? 3 : 0;
}
