// Text for people: what a terminal shows, how wide it is, how it is shortened.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dosa {

/// The text as it may be printed where a person reads it: on one line, and unable to steer a terminal.
/// Control characters (C0, DEL, C1), marks that change the direction of text, and bytes that are no UTF-8
/// appear as escapes, for example \n, \x1b or \u202e.
std::string printable(std::string_view text);

/// How many columns the text takes on a terminal: one for each code point of UTF-8. (Wide and combining
/// characters are counted as one column too.)
std::size_t display_width(std::string_view text);

/// The text in at most `width` columns: where it is longer, its middle gives way to "...", since names of
/// layers are told apart by both their ends. `width` is at least 4.
std::string shortened_in_the_middle(std::string_view text, std::size_t width);

/// The text in at most `width` columns: where it is longer, its end is cut off.
std::string cut_to(std::string_view text, std::size_t width);

/// "1 layer", "2 layers": a number and what is counted, for words whose plural ends in s.
std::string counted(std::int64_t number, std::string_view what);

/// How wide lines of text for people are where nothing says otherwise.
inline constexpr std::size_t kTextWidth = 80;

/// The width of the terminal that a file descriptor leads to; kTextWidth where it is none or does not say.
std::size_t terminal_width(int descriptor);

}  // namespace dosa
