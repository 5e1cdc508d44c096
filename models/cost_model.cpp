namespace dosa {}
