#include "dosa/core/cli/program.hpp"

int main(int argc, char** argv) { return dosa::cli::program(argc, argv); }
