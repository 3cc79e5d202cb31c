// Linked with one module and exactly what it declares: a call into a module above it does not resolve.
int main() { return 0; }
