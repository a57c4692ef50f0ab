Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'web' -LocalFilePath 'web.vhd' -DiskOsType Linux -DiskHyperVGeneration V2
$osDisk = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'web').Id
$gallery = New-AzGallery -ResourceGroupName 'GROUP' -Location 'LOCATION' -Name 'GALLERY' -Permission Community -PublisherUri 'PUBLISHER-URI' -PublisherContact 'PUBLISHER-EMAIL' -Eula 'EULA-URI' -PublicNamePrefix 'PREFIX'
New-AzGalleryImageDefinition -ResourceGroupName 'GROUP' -Location 'LOCATION' -GalleryName 'GALLERY' -Name 'web' -Publisher 'PUBLISHER' -Offer 'OFFER' -Sku 'SKU' -OsType Linux -OsState Generalized -HyperVGeneration V2 -Architecture 'x64' -Feature @(@{Name = 'SecurityType'; Value = 'TrustedLaunchSupported'}, @{Name = 'DiskControllerTypes'; Value = 'SCSI,NVMe'}, @{Name = 'IsAcceleratedNetworkSupported'; Value = 'True'}, @{Name = 'IsHibernateSupported'; Value = 'True'})
$image = New-AzImageConfig -Location 'LOCATION' -HyperVGeneration V2
$image = Set-AzImageOsDisk -Image $image -OsType Linux -OsState Generalized -ManagedDiskId $osDisk
$image = New-AzImage -ResourceGroupName 'GROUP' -ImageName 'web' -Image $image
New-AzGalleryImageVersion -ResourceGroupName 'GROUP' -Location 'LOCATION' -GalleryName 'GALLERY' -GalleryImageDefinitionName 'web' -Name '1.0.0' -SourceImageId $image.Id
Invoke-AzRestMethod -Method POST -Path "$($gallery.Id)/share?api-version=2021-07-01" -Payload '{"operationType": "EnableCommunity"}'
