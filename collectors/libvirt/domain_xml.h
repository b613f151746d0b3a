// SPDX-License-Identifier: Apache-2.0
//
// What of a domain's XML concerns us: its guest NUMA cells, and to which host
// nodes libvirt has bound their memory. https://libvirt.org/formatdomain.html
//
//   <cpu><numa><cell id='0' cpus='0-3' memory='4194304'/></numa></cpu>
//   <numatune>
//     <memory mode='strict' nodeset='0-1'/>      for cells without a memnode
//     <memnode cellid='0' mode='strict' nodeset='1'/>
//   </numatune>
//
// Only `strict`, the default, binds: what does not fit these nodes is not
// allocated. `preferred` may go elsewhere and `interleave` spreads, and where
// they did the kernel says better; `restrictive` sets no policy for a cell's
// memory, but tells each vCPU thread from where it may take new pages.
// Placement by numad names no nodes.
//
// And what people and programs have written into it about the domain:
//
//   <title>Web shop</title>
//   <metadata>
//     <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
//       <nova:flavor name="m1.small"/>
//       <nova:owner><nova:user uuid="f6a2">ann</nova:user></nova:owner>
//     </nova:instance>
//   </metadata>
//
// which are the keys "title", "{http://openstack.org/xmlns/libvirt/nova/1.1}
// instance/flavor@name", ".../owner/user@uuid", ".../owner/user".
//
// Pure. The XML is a guest owner's: text with a document type, and so any
// entity but the five of XML, is refused, nothing else is ever loaded, and its
// depth does not matter.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "collectors/base/result.h"
#include "collectors/libvirt/view.h"

namespace vcpu {

inline constexpr std::size_t kMaxDomainXmlBytes = std::size_t{4} << 20;

// In the order of their ids; none for a domain that has none.
Result<std::vector<LibvirtCell>> parse_numa_cells(std::string_view xml);

inline constexpr std::size_t kMaxMetadata = 64;
inline constexpr std::size_t kMaxMetadataKey = 256;
inline constexpr std::size_t kMaxMetadataValue = 1024;
inline constexpr int kMaxMetadataDepth = 8;

// In the order of the XML; what is beyond these limits, or has no text, is left
// out. A key that comes again is there again.
Result<LibvirtMetadata> parse_metadata(std::string_view xml);

}  // namespace vcpu
