# Marks pyx/ndconv as the package that `cimport ndconv._runtime` finds.
