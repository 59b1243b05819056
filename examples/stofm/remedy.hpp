// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A remedy comes from the library, which does not know which verb asks: here it is cut to the options that
/// this verb has.

#include <string>
#include <vector>

namespace stofm::program {

/// `text` without the alternatives ("..., or ...") that name an option which is not in `options`; a sentence
/// of which none is left goes. Sentences about other programs (convert.py) stay. No options: `text` as it is.
/// \return never empty for a text that is not
std::string fitting_remedy(const std::string& text, const std::vector<std::string>& options);

/// The same for a note, whose first part (to a full stop or semicolon) is what happened and stays as it is.
std::string fitting_note(const std::string& text, const std::vector<std::string>& options);

}  // namespace stofm::program
