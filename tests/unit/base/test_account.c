/* Users and groups, in place of the system's a table of two users and a group. */
#include "base/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct passwd users[] = {
    {.pw_name = (char *)"anna", .pw_uid = 1000, .pw_gid = 100},
    {.pw_name = (char *)"1000", .pw_uid = 7, .pw_gid = 8}, /* its name is a number */
};
static struct group groups[] = {{.gr_name = (char *)"staff", .gr_gid = 50}};

/* In place of the C library's. */
struct passwd *getpwnam(const char *name)
{
    for (size_t i = 0; i < 2; i++)
        if (strcmp(users[i].pw_name, name) == 0)
            return &users[i];
    return NULL;
}

struct passwd *getpwuid(uid_t uid)
{
    return uid == 1000 ? &users[0] : uid == 7 ? &users[1] : NULL;
}

struct group *getgrnam(const char *name)
{
    return strcmp(name, groups[0].gr_name) == 0 ? &groups[0] : NULL;
}

/* What account_become asked for, in its order. */
static char asked[64];
static const char *refused = "";

static int ask(const char *what)
{
    strcat(strcat(asked, what), " ");
    if (strcmp(what, refused) != 0)
        return 0;
    errno = EPERM;
    return -1;
}

int initgroups(const char *user, gid_t group)
{
    assert_string_equal(user, "anna");
    assert_int_equal(group, 100);
    return ask("initgroups");
}

int setgroups(size_t count, const gid_t *list)
{
    assert_int_equal(count, 1);
    assert_int_equal(list[0], 4242);
    return ask("setgroups");
}

int setgid(gid_t gid)
{
    (void)gid;
    return ask("setgid");
}

int setuid(uid_t uid)
{
    (void)uid;
    return ask("setuid");
}

static void users_are_found_by_name_or_number(void **state)
{
    (void)state;
    struct account user;
    assert_true(account_find_user("anna", &user));
    assert_int_equal(user.uid, 1000);
    assert_int_equal(user.gid, 100);
    assert_string_equal(user.name, "anna");
    assert_true(account_find_user("7", &user));
    assert_int_equal(user.uid, 7);
    assert_int_equal(user.gid, 8);
    assert_true(account_find_user("1000", &user)); /* a name goes before a number */
    assert_int_equal(user.uid, 7);
}

static void a_number_need_not_be_of_an_account(void **state)
{
    (void)state;
    struct account user;
    gid_t gid;
    assert_true(account_find_user("4242", &user));
    assert_int_equal(user.uid, 4242);
    assert_int_equal(user.gid, 4242);
    assert_string_equal(user.name, "");
    assert_true(account_find_group("4242", &gid));
    assert_int_equal(gid, 4242);
    assert_true(account_find_group("staff", &gid));
    assert_int_equal(gid, 50);
}

static void anything_else_is_not_found(void **state)
{
    (void)state;
    struct account user;
    gid_t gid;
    static const char *const none[] = {"", "bert", "-1", "1 ", "1000000000"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_false(account_find_user(none[i], &user));
        assert_false(account_find_group(none[i], &gid));
    }
}

static void groups_are_given_up_before_the_user(void **state)
{
    (void)state;
    struct account anna = {1000, 100, "anna"}, number = {4242, 4242, ""};
    asked[0] = '\0';
    assert_true(account_become(&anna, 100));
    assert_string_equal(asked, "initgroups setgid setuid ");
    asked[0] = '\0';
    assert_true(account_become(&number, 4242));
    assert_string_equal(asked, "setgroups setgid setuid ");
}

static void the_first_refusal_ends_it(void **state)
{
    (void)state;
    struct account anna = {1000, 100, "anna"};
    static const char *const rows[][2] = {{"initgroups", "initgroups "},
                                          {"setgid", "initgroups setgid "},
                                          {"setuid", "initgroups setgid setuid "}};
    for (size_t i = 0; i < 3; i++) {
        asked[0] = '\0';
        refused = rows[i][0];
        assert_false(account_become(&anna, 100));
        assert_int_equal(errno, EPERM);
        assert_string_equal(asked, rows[i][1]);
    }
    refused = "";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_found_by_name_or_number),
        cmocka_unit_test(a_number_need_not_be_of_an_account),
        cmocka_unit_test(anything_else_is_not_found),
        cmocka_unit_test(groups_are_given_up_before_the_user),
        cmocka_unit_test(the_first_refusal_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
