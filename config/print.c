/* What -h prints of the options. Runs on the main thread; owns nothing, no locks. */
#include "config/print.h"

#include "config/kind.h"
#include "config/option.h"

void print_options(FILE *out)
{
    char range[128];
    fprintf(out, "  %-21s %-11s %s\n", "Name", "Older name",
            "Default, and what it may be");
    for (size_t i = 0; i < option_count; i++) {
        const struct option_row *o = &option_rows[i];
        if (o->section != NULL)
            fprintf(out, "\n%s\n", o->section);
        fprintf(out, "%c %-21s %-11s %s (%s)\n", o->restart ? '*' : ' ', o->name,
                o->older != NULL ? o->older : "-", o->fallback,
                kind_range(o, range, sizeof range));
        fprintf(out, "      %s\n", o->help);
    }
    fprintf(out, "\n* needs a restart; the others change on reload (SIGHUP).\n");
}
