//! OpenSlide's C interface, loaded at run time: the one file of this crate with `unsafe`, and safe to use from outside.
//!
//! `openslide.h` of OpenSlide 4. What it promises, and what this file holds to in return:
//!
//! - Every function takes a handle that `openslide_open` returned and that is not closed: [`Handle`] keeps it, and
//!   closes it once, when nobody borrows it any more.
//! - All functions but `openslide_close` may be called on one handle by many threads at once.
//! - An error stays with its handle for ever, and what is read after it is blank: every call here looks for one afterwards.
//! - Strings and lists belong to the handle (or, of version and vendor, to the library): they are copied at once.
//! - `openslide_read_region` writes `4 * w * h` bytes, the other readers what the size that was asked for before says; that
//!   size does not change while a handle lives.
//!
//! The library is never unloaded, so its functions can be called for ever: its threads and types would not survive it.
//! Not here: where libraries lie (`library.rs`), what pixels mean (`mod.rs`).

#![allow(unsafe_code, reason = "calls into a C library")]

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::NonNull;

use libloading::Library as Loaded;

/// `openslide_t`, of which only OpenSlide knows the inside.
#[repr(C)]
struct Osr {
    _inside: [u8; 0],
}

/// `openslide_cache_t`.
#[repr(C)]
struct Cache {
    _inside: [u8; 0],
}

/// The functions that are used, as `openslide.h` declares them.
struct Functions {
    detect_vendor: unsafe extern "C" fn(*const c_char) -> *const c_char,
    open: unsafe extern "C" fn(*const c_char) -> *mut Osr,
    close: unsafe extern "C" fn(*mut Osr),
    get_error: unsafe extern "C" fn(*mut Osr) -> *const c_char,
    get_level0_dimensions: unsafe extern "C" fn(*mut Osr, *mut i64, *mut i64),
    read_region: unsafe extern "C" fn(*mut Osr, *mut u32, i64, i64, c_int, i64, i64),
    get_property_names: unsafe extern "C" fn(*mut Osr) -> *const *const c_char,
    get_property_value: unsafe extern "C" fn(*mut Osr, *const c_char) -> *const c_char,
    get_icc_profile_size: unsafe extern "C" fn(*mut Osr) -> i64,
    read_icc_profile: unsafe extern "C" fn(*mut Osr, *mut c_void),
    get_associated_image_names: unsafe extern "C" fn(*mut Osr) -> *const *const c_char,
    get_associated_image_dimensions: unsafe extern "C" fn(*mut Osr, *const c_char, *mut i64, *mut i64),
    read_associated_image: unsafe extern "C" fn(*mut Osr, *const c_char, *mut u32),
    cache_create: unsafe extern "C" fn(usize) -> *mut Cache,
    cache_release: unsafe extern "C" fn(*mut Cache),
    set_cache: unsafe extern "C" fn(*mut Osr, *mut Cache),
}

/// A loaded OpenSlide.
pub(super) struct Library {
    version: String,
    functions: Functions,
}

/// What came of loading a file.
pub(super) enum Attempt {
    /// OpenSlide 4 or newer.
    Loaded(Library),
    /// No library, in the system's words.
    NotLoaded(String),
    /// A library, but it lacks this function.
    NotOpenSlide(String),
    /// An OpenSlide before version 4.
    TooOld(String),
}

impl Library {
    /// Loads a library by its path, or by a name that the system looks for where it keeps libraries.
    pub(super) fn load(name: &OsStr) -> Attempt {
        // SAFETY: loading runs what the library runs at its start. That it may is the user's or the system's choice, by
        // naming or installing it; nothing but these names is ever loaded.
        let library = match unsafe { Loaded::new(name) } {
            Ok(library) => std::mem::ManuallyDrop::new(library),
            Err(error) => return Attempt::NotLoaded(error.to_string()),
        };
        // SAFETY: the type is that of `openslide.h`, all versions.
        let get_version =
            unsafe { find::<unsafe extern "C" fn() -> *const c_char>(&library, c"openslide_get_version") };
        let version = match get_version {
            // SAFETY: it takes nothing, and gives a string that lives as long as the library.
            Ok(get_version) => unsafe { text(get_version()) }.unwrap_or_default(),
            Err(missing) => return Attempt::NotOpenSlide(missing),
        };
        let major = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
        if major.is_none_or(|major| major < 4) {
            return Attempt::TooOld(version);
        }
        match Functions::find(&library) {
            Ok(functions) => Attempt::Loaded(Self { version, functions }),
            Err(missing) => Attempt::NotOpenSlide(missing),
        }
    }

    /// Its version, `4.0.1`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Which vendor's format OpenSlide takes a file for, by a short look; `None` if for none.
    pub(super) fn vendor(&self, path: &Path) -> Option<String> {
        let path = c_path(path)?;
        // SAFETY: `path` ends in a zero byte; the answer is null or lives as long as the library.
        unsafe { text((self.functions.detect_vendor)(path.as_ptr())) }
    }

    /// Opens a slide; `None` if OpenSlide does not know its format.
    ///
    /// # Errors
    /// OpenSlide's words.
    pub(super) fn open(&'static self, path: &Path) -> Result<Option<Handle>, String> {
        let path = c_path(path).ok_or("a zero byte in the path")?;
        // SAFETY: `path` ends in a zero byte.
        let Some(osr) = NonNull::new(unsafe { (self.functions.open)(path.as_ptr()) }) else {
            return Ok(None);
        };
        let handle = Handle { osr, functions: &self.functions };
        handle.check()?;
        Ok(Some(handle))
    }
}

impl Functions {
    /// All functions, or the name of the first that is missing.
    fn find(library: &Loaded) -> Result<Self, String> {
        // SAFETY: the types above are those of `openslide.h` of version 4, which was asked for before.
        unsafe {
            Ok(Self {
                detect_vendor: find(library, c"openslide_detect_vendor")?,
                open: find(library, c"openslide_open")?,
                close: find(library, c"openslide_close")?,
                get_error: find(library, c"openslide_get_error")?,
                get_level0_dimensions: find(library, c"openslide_get_level0_dimensions")?,
                read_region: find(library, c"openslide_read_region")?,
                get_property_names: find(library, c"openslide_get_property_names")?,
                get_property_value: find(library, c"openslide_get_property_value")?,
                get_icc_profile_size: find(library, c"openslide_get_icc_profile_size")?,
                read_icc_profile: find(library, c"openslide_read_icc_profile")?,
                get_associated_image_names: find(library, c"openslide_get_associated_image_names")?,
                get_associated_image_dimensions: find(library, c"openslide_get_associated_image_dimensions")?,
                read_associated_image: find(library, c"openslide_read_associated_image")?,
                cache_create: find(library, c"openslide_cache_create")?,
                cache_release: find(library, c"openslide_cache_release")?,
                set_cache: find(library, c"openslide_set_cache")?,
            })
        }
    }
}

/// A function of a library that stays loaded, or its name if it is not there.
///
/// # Safety
/// `T` is the function's type, and the library is never unloaded.
unsafe fn find<T: Copy>(library: &Loaded, name: &CStr) -> Result<T, String> {
    // SAFETY: as the caller promises.
    match unsafe { library.get::<T>(name) } {
        Ok(symbol) => Ok(*symbol),
        Err(_) => Err(name.to_string_lossy().into_owned()),
    }
}

/// An open slide without an error so far.
pub(super) struct Handle {
    /// From `openslide_open`, not closed.
    osr: NonNull<Osr>,
    functions: &'static Functions,
}

// SAFETY: OpenSlide's handles are not bound to the thread that opened them.
unsafe impl Send for Handle {}
// SAFETY: its functions may be called on one handle by many threads at once; closing wants the handle for itself, and
// `drop` has it.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: open, and closed nowhere else.
        unsafe { (self.functions.close)(self.osr.as_ptr()) }
    }
}

/// A picture as OpenSlide gives it: premultiplied ARGB, one number a pixel, row by row.
pub(super) struct Argb {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixels: Vec<u32>,
}

impl Handle {
    /// Whether anything has gone wrong on this handle, now or before.
    fn check(&self) -> Result<(), String> {
        // SAFETY: an open handle; the string lives as long as it.
        unsafe { text((self.functions.get_error)(self.osr.as_ptr())) }.map_or(Ok(()), Err)
    }

    /// Gives the handle a cache of its own for so many bytes of decoded tiles.
    pub(super) fn set_cache(&self, bytes: usize) -> Result<(), String> {
        // SAFETY: an open handle. The handle keeps a reference to the cache of its own, so ours is given back.
        unsafe {
            let cache = (self.functions.cache_create)(bytes);
            (self.functions.set_cache)(self.osr.as_ptr(), cache);
            (self.functions.cache_release)(cache);
        }
        self.check()
    }

    /// Width and height of level 0, whatever OpenSlide makes of the file: not checked.
    pub(super) fn size(&self) -> Result<(i64, i64), String> {
        let (mut width, mut height) = (-1, -1);
        // SAFETY: an open handle and two places to write to.
        unsafe { (self.functions.get_level0_dimensions)(self.osr.as_ptr(), &raw mut width, &raw mut height) }
        self.check().map(|()| (width, height))
    }

    /// The pixels of a region of level 0; outside the slide they are transparent.
    pub(super) fn region(&self, x: u32, y: u32, width: u32, height: u32) -> Result<Argb, String> {
        let mut pixels = vec![0; width as usize * height as usize];
        let (x, y) = (i64::from(x), i64::from(y));
        // SAFETY: an open handle; `pixels` has room for `width * height` numbers of 4 bytes.
        unsafe {
            let (osr, buffer) = (self.osr.as_ptr(), pixels.as_mut_ptr());
            (self.functions.read_region)(osr, buffer, x, y, 0, i64::from(width), i64::from(height));
        }
        self.check().map(|()| Argb { width, height, pixels })
    }

    /// All properties, sorted by name as OpenSlide does. Bytes that are not UTF-8 are replaced.
    pub(super) fn properties(&self) -> Result<Vec<(String, String)>, String> {
        // SAFETY: an open handle; the list is read at once.
        let names = unsafe { list((self.functions.get_property_names)(self.osr.as_ptr())) };
        self.check()?;
        let mut properties = Vec::with_capacity(names.len());
        for name in names {
            // SAFETY: an open handle and a string that ends; the value is copied at once.
            let value =
                unsafe { text((self.functions.get_property_value)(self.osr.as_ptr(), name.as_ptr())) };
            properties.push((name.to_string_lossy().into_owned(), value.unwrap_or_default()));
        }
        self.check().map(|()| properties)
    }

    /// The ICC profile of level 0, if there is one of 1 to `limit` bytes; its size if it is larger.
    pub(super) fn icc_profile(&self, limit: usize) -> Result<Option<Result<Vec<u8>, i64>>, String> {
        // SAFETY: an open handle.
        let size = unsafe { (self.functions.get_icc_profile_size)(self.osr.as_ptr()) };
        self.check()?;
        let bytes = match usize::try_from(size) {
            Ok(0) | Err(_) => return Ok(None),
            Ok(bytes) if bytes > limit => return Ok(Some(Err(size))),
            Ok(bytes) => bytes,
        };
        let mut profile = vec![0; bytes];
        // SAFETY: an open handle; `profile` has room for as many bytes as it just said.
        unsafe { (self.functions.read_icc_profile)(self.osr.as_ptr(), profile.as_mut_ptr().cast()) }
        self.check().map(|()| Some(Ok(profile)))
    }

    /// Names of the associated images.
    pub(super) fn associated_names(&self) -> Result<Vec<CString>, String> {
        // SAFETY: an open handle; the list is read at once.
        let names = unsafe { list((self.functions.get_associated_image_names)(self.osr.as_ptr())) };
        self.check().map(|()| names)
    }

    /// An associated image, if it has 1 to `limit` pixels.
    ///
    /// # Errors
    /// OpenSlide's words, or what is wrong with the size.
    pub(super) fn associated(&self, name: &CStr, limit: u64) -> Result<Argb, String> {
        let (mut wide, mut high) = (-1_i64, -1_i64);
        // SAFETY: an open handle, a string that ends, and two places to write to.
        unsafe {
            let osr = self.osr.as_ptr();
            (self.functions.get_associated_image_dimensions)(
                osr,
                name.as_ptr(),
                &raw mut wide,
                &raw mut high,
            );
        }
        self.check()?;
        let (Ok(width @ 1..), Ok(height @ 1..)) = (u32::try_from(wide), u32::try_from(high)) else {
            return Err(format!("its size is {wide} x {high} px"));
        };
        if u64::from(width) * u64::from(height) > limit {
            return Err(format!("{width} x {height} px are more than {limit}"));
        }
        let mut pixels = vec![0; width as usize * height as usize];
        // SAFETY: an open handle and a string that ends; `pixels` has room for as many pixels as it just said.
        unsafe {
            (self.functions.read_associated_image)(self.osr.as_ptr(), name.as_ptr(), pixels.as_mut_ptr());
        }
        self.check().map(|()| Argb { width, height, pixels })
    }
}

/// A path for C: its bytes, or on Windows its UTF-8, which is what OpenSlide wants there.
fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).ok()
}

/// A copy of a string; `None` for null.
///
/// # Safety
/// `string` is null, or ends in a zero byte and does not change during the call.
unsafe fn text(string: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned())
}

/// A copy of a list of strings; empty for null.
///
/// # Safety
/// `strings` is null, or a list of strings that ends in null; neither changes during the call.
unsafe fn list(mut strings: *const *const c_char) -> Vec<CString> {
    let mut copies = vec![];
    // SAFETY: as the caller promises; the end is looked at and not passed.
    unsafe {
        while !strings.is_null() && !(*strings).is_null() {
            copies.push(CStr::from_ptr(*strings).to_owned());
            strings = strings.add(1);
        }
    }
    copies
}
