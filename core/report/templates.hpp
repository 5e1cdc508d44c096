// The files of templates/ as texts of the program, so that a page needs no files at run time. The build makes
// templates.cpp of them (templates.cpp.in).
#pragma once

namespace dosa::html {

extern const char* const
    kPageTemplate;  ///< page.html: {{style}}, {{title}}, {{lead}}, {{contents}}, {{body}}
extern const char* const kStyleTemplate;  ///< style.css

}  // namespace dosa::html
