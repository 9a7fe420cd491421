/* Figures as metrics, for Prometheus and its kin. Pure; nothing blocks. */
#ifndef LUAFCGID2_DAEMON_FIGURES_METRICS_H
#define LUAFCGID2_DAEMON_FIGURES_METRICS_H

#include "daemon/figures.h"

enum figures_metrics_format {
    FIGURES_METRICS_OPEN,  /* OpenMetrics 1.0 */
    FIGURES_METRICS_PLAIN, /* Prometheus' text format 0.0.4 */
};

/* Appends a family luafcgid2_... for each row that has a metric. Bytes in labels that are
 * not UTF-8 become U+FFFD. false: out of memory. */
bool figures_metrics_write(const struct figures *f, enum figures_metrics_format format,
                           struct buffer *out);

#endif
