/* The directory that scripts must lie in. */
#include "tests/unit/source_fixture.h"

#include "lua/confine.h"

static char inside[80], outside[80], sub[80];

static int set_up_tree(void **unused)
{
    if (set_up(unused) != 0)
        return -1;
    snprintf(sub, sizeof sub, "%s/root", directory);
    snprintf(inside, sizeof inside, "%s/root/in.lua", directory);
    snprintf(outside, sizeof outside, "%s/rootless", directory);
    if (mkdir(sub, 0755) != 0)
        return -1;
    files_write(inside, "return 2");
    files_write(outside, "return 3");
    return 0;
}

static int tear_down_tree(void **unused)
{
    char link[96];
    snprintf(link, sizeof link, "%s/link.lua", sub);
    unlink(link);
    unlink(inside);
    unlink(outside);
    rmdir(sub);
    return tear_down(unused);
}

static void swap_link(int call)
{
    char name[96];
    snprintf(name, sizeof name, "%s/link.lua", sub);
    if (call == 1 && (unlink(name) != 0 || symlink("in.lua", name) != 0))
        abort();
}

/* The file that was opened counts, whatever its name leads to a moment later. */
static int error_of_swapped_link(void)
{
    char name[96];
    snprintf(name, sizeof name, "%s/link.lua", sub);
    atomic_store(&fstats, 0);
    at_fstat = swap_link;
    int error = symlink(path, name) != 0 ? -1 : error_of(name, sub);
    at_fstat = NULL;
    return error;
}

static int confinement_errors(void)
{
    char name[128], slash[96];
    snprintf(slash, sizeof slash, "%s//", sub);
    int wrong = error_of(inside, sub) != 0;
    wrong += error_of(inside, slash) != 0;
    wrong += error_of(inside, "/") != 0;
    wrong += error_of(inside, directory) != 0;
    wrong +=
        error_of(outside, sub) != EACCES; /* though its name begins with the root's */
    wrong += error_of(path, sub) != EACCES;
    snprintf(name, sizeof name, "%s/../a.lua", sub);
    wrong += error_of(name, sub) != EACCES;
    snprintf(name, sizeof name, "%s/../root/in.lua", sub);
    wrong += error_of(name, sub) != 0;
    snprintf(name, sizeof name, "%s/link.lua", sub);
    wrong += symlink(path, name) != 0;
    wrong += error_of(name, sub) != EACCES;
    wrong += unlink(name) != 0 || symlink("in.lua", name) != 0;
    wrong += error_of(name, sub) != 0;
    wrong += unlink(name) != 0;
    wrong += error_of_swapped_link() != EACCES;
    return wrong;
}

static void a_root_confines_through_links_and_dots(void **unused)
{
    (void)unused;
    assert_int_equal(confinement_errors(), 0);
}

static int without_proc(void)
{
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, "") != 0)
        return 77;
    return confinement_errors();
}

static void a_root_confines_without_proc(void **unused)
{
    (void)unused;
    in_a_child(without_proc);
}

static void a_root_behind_a_link_is_resolved_at_each_use(void **unused)
{
    (void)unused;
    char link[128], one[128], two[128], file[160];
    snprintf(link, sizeof link, "%s/root", directory);
    snprintf(one, sizeof one, "%s/1", directory);
    snprintf(two, sizeof two, "%s/2", directory);
    snprintf(file, sizeof file, "%s/x.lua", two);
    assert_int_equal(mkdir(one, 0755), 0);
    assert_int_equal(mkdir(two, 0755), 0);
    files_write(file, "return 2");
    assert_int_equal(symlink(one, link), 0);
    assert_int_equal(error_of(file, link), EACCES);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(error_of(file, link), EACCES);
    assert_int_equal(symlink(two, link), 0);
    assert_int_equal(error_of(file, link), 0);
    unlink(link);
    unlink(file);
    rmdir(one);
    rmdir(two);
}

#define TREE(name) cmocka_unit_test_setup_teardown(name, set_up_tree, tear_down_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE(a_root_confines_through_links_and_dots),
        TREE(a_root_confines_without_proc),
        TEST(a_root_behind_a_link_is_resolved_at_each_use),
    };
    alarm(300); /* a hang ends the test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
