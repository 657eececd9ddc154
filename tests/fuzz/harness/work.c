/* Counts the parser's work: `work head|chunks FILE PIECE` feeds a file in pieces of PIECE bytes and prints how many
 * edges between blocks of code were taken. Compiled by gcc with -fsanitize-coverage=trace-pc; needs no clang.
 */

#include GENERATED

#include <stdio.h>
#include <stdlib.h>

#define PARSER(name) __pyx_f_8fastwsgi_7_parser_##name
#define SAYS(name) __pyx_e_8fastwsgi_7_parser_##name

enum { FIELDS = 32768 };

static volatile unsigned long long edges; /* the compiler does not see who changes it */
static char data[1 << 24];
static struct __pyx_t_8fastwsgi_7_parser_Field fields[FIELDS];
static const struct __pyx_t_8fastwsgi_7_parser_Limits limits = {65536, 65536, FIELDS, 65536, 0};

__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void)
{
    edges++;
}

static int parse_head(size_t size, size_t piece)
{
    struct __pyx_t_8fastwsgi_7_parser_RequestHead head = {.fields = fields};
    int verdict = SAYS(MORE);
    PARSER(reset_head)(&head);
    for (size_t there = 0; verdict == SAYS(MORE) && there < size;) {
        there = size - there < piece ? size : there + piece;
        verdict = PARSER(parse_head)(data, there, &limits, &head);
    }
    return verdict;
}

static int decode_chunks(size_t size, size_t piece)
{
    struct __pyx_t_8fastwsgi_7_parser_ChunkDecoder decoder;
    size_t taken = 0, there = 0, used, length;
    const char *body;
    int verdict = SAYS(MORE);
    PARSER(reset_chunks)(&decoder);
    while (verdict == SAYS(DATA) || (verdict == SAYS(MORE) && there < size)) {
        if (verdict == SAYS(MORE))
            there = size - there < piece ? size : there + piece;
        verdict = PARSER(decode_chunks)(&decoder, data + taken, there - taken, &limits, &used, &body, &length);
        taken += used;
    }
    return verdict;
}

int main(int count, char **words)
{
    FILE *file = count == 4 ? fopen(words[2], "rb") : NULL;
    if (file == NULL)
        return 2;
    size_t size = fread(data, 1, sizeof data, file), piece = strtoul(words[3], NULL, 10);
    fclose(file);
    PARSER(fill_classes)();
    edges = 0;
    int verdict = words[1][0] == 'h' ? parse_head(size, piece) : decode_chunks(size, piece);
    printf("%d %llu\n", verdict, edges);
    return 0;
}
