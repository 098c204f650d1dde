/* blis_version.c - run by CMakeLists.txt alone: the version of the BLIS that it found (blis.h does not name one). */
#include <blis.h>
#include <stdio.h>

int main(void)
{
	puts(bli_info_get_version_str());
	return 0;
}
