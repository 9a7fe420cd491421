/* Users and groups. Runs on the main thread, and on the thread that loads a configuration
 * while the main thread waits for it; owns nothing, no locks. */
#include "base/account.h"

#include "base/number.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

enum { NUMBER_MAX = 999999999 };

bool account_find_user(const char *text, struct account *user)
{
    struct passwd *entry = getpwnam(text);
    int64_t number = number_decimal(text, NUMBER_MAX);
    if (entry == NULL && number < 0)
        return false;
    if (entry == NULL)
        entry = getpwuid((uid_t)number);
    user->uid = entry != NULL ? entry->pw_uid : (uid_t)number;
    user->gid = entry != NULL ? entry->pw_gid : (gid_t)number;
    snprintf(user->name, sizeof user->name, "%s", entry != NULL ? entry->pw_name : "");
    return true;
}

bool account_find_group(const char *text, gid_t *gid)
{
    struct group *entry = getgrnam(text);
    int64_t number = number_decimal(text, NUMBER_MAX);
    if (entry == NULL && number < 0)
        return false;
    *gid = entry != NULL ? entry->gr_gid : (gid_t)number;
    return true;
}

bool account_become(const struct account *user, gid_t gid)
{
    bool grouped = user->name[0] != '\0' ? initgroups(user->name, gid) == 0
                                         : setgroups(1, &gid) == 0;
    return grouped && setgid(gid) == 0 && setuid(user->uid) == 0;
}
